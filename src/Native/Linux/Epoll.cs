using System.Runtime.CompilerServices;
using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace Ringmaster.Native.Linux;

/// <summary>Which readiness to wait for; the numbers are epoll's own.</summary>
[Flags]
internal enum EpollEvents : uint
{
    None = 0,
    In = 0x001,
    Out = 0x004,
    Error = 0x008,
    HangUp = 0x010,
    PeerClosed = 0x2000,
    OneShot = 1u << 30,
    EdgeTriggered = 1u << 31,
}

/// <summary>An epoll set. Add, modify and remove from any thread; wait from one.</summary>
internal sealed unsafe class Epoll : IDisposable
{
    private readonly OwnedFd _fd;
    private readonly FdLease _lease;

    internal Epoll()
    {
        _fd = new OwnedFd((int)Sys.Result(epoll_create1(EPOLL_CLOEXEC)).OrThrow("epoll_create1"));
        _lease = _fd.Lease();
    }

    internal IoResult Add(int fd, EpollEvents events, ulong token) => Control(EPOLL_CTL_ADD, fd, events, token);

    internal IoResult Modify(int fd, EpollEvents events, ulong token) => Control(EPOLL_CTL_MOD, fd, events, token);

    internal IoResult Remove(int fd) => Control(EPOLL_CTL_DEL, fd, EpollEvents.None, 0);

    /// <summary>Waits for events.</summary>
    /// <param name="events">Room for what happened.</param>
    /// <param name="timeoutMilliseconds">-1 = no limit, 0 = only look.</param>
    /// <returns>How many entries were filled; 0 on timeout or when a signal came.</returns>
    internal int Wait(Span<epoll_event> events, int timeoutMilliseconds)
    {
        fixed (epoll_event* first = events)
        {
            IoResult result = Sys.Result(epoll_wait(_lease.Number, first, events.Length, timeoutMilliseconds));
            return result.Error == Errno.EINTR ? 0 : (int)result.OrThrow("epoll_wait");
        }
    }

    /// <summary>The token of one event.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong Token(in epoll_event entry) => entry.data.u64;

    public void Dispose()
    {
        _lease.Dispose();
        _fd.Dispose();
    }

    private IoResult Control(int operation, int fd, EpollEvents events, ulong token)
    {
        epoll_event entry = default;
        entry.events = (int)events;
        entry.data.u64 = token;
        return Sys.Result(epoll_ctl(_lease.Number, operation, fd, &entry));
    }
}
