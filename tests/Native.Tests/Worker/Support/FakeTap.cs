using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace Ringmaster.Native.Tests.Worker.Support;

/// <summary>
/// Something that keeps frame borders as a TAP queue does, and needs no privilege: a pair of SOCK_SEQPACKET sockets. The
/// worker has one end; the test is the host behind the other.
/// </summary>
internal sealed unsafe class FakeTap : IDisposable
{
    private readonly OwnedFd _host;

    internal FakeTap(int headerSize = 12)
    {
        int* ends = stackalloc int[2];
        Sys.Result(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends)).OrThrow("socketpair");
        Queue = new TapQueue(0, new OwnedFd(ends[0])) { HeaderSize = headerSize };
        _host = new OwnedFd(ends[1]);
    }

    internal TapQueue Queue { get; }

    /// <summary>Sends a frame, header included, to the worker. False when its queue is full.</summary>
    internal bool TrySend(ReadOnlySpan<byte> frame)
    {
        fixed (byte* first = frame)
        {
            IoResult result = Sys.Write(_host.Number, first, (nuint)frame.Length);
            return result.WouldBlock ? false : result.OrThrow("send") == frame.Length;
        }
    }

    /// <summary>The next frame, header included, that the worker wrote; waits for it.</summary>
    internal byte[] Receive(int timeoutMilliseconds = 5000)
    {
        byte[] buffer = new byte[128 * 1024];
        while (true)
        {
            fixed (byte* first = buffer)
            {
                IoResult result = Sys.Read(_host.Number, first, (nuint)buffer.Length);
                if (result.Ok && result.Count == 0)
                {
                    // The io_uring engine's probe; a TAP refuses an empty frame, a socket delivers it.
                    continue;
                }

                if (!result.WouldBlock)
                {
                    return buffer[..(int)result.OrThrow("receive")];
                }
            }

            if (!WaitReadable(timeoutMilliseconds))
            {
                throw new TimeoutException("No frame came from the worker.");
            }
        }
    }

    /// <summary>True when a frame is there within the time.</summary>
    internal bool WaitReadable(int timeoutMilliseconds)
    {
        pollfd entry = new() { fd = _host.Number, events = POLLIN };
        return poll(&entry, 1, timeoutMilliseconds) > 0;
    }

    public void Dispose()
    {
        Queue.Fd.Dispose();
        _host.Dispose();
    }
}
