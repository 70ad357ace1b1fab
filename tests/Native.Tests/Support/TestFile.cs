using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Tests.Support;

/// <summary>Descriptors of files that no front-end should send.</summary>
internal static partial class TestFile
{
    private const int O_CLOEXEC = 0x80000;
    private const int CLOCK_MONOTONIC = 1;

    internal static OwnedFd Open(string path) => new((int)Sys.Result(open(path, O_CLOEXEC)).OrThrow($"open({path})"));

    internal static OwnedFd Epoll() => new((int)Sys.Result(epoll_create1(O_CLOEXEC)).OrThrow("epoll_create1"));

    internal static OwnedFd Timer() => new((int)Sys.Result(timerfd_create(CLOCK_MONOTONIC, O_CLOEXEC)).OrThrow("timerfd_create"));

    internal static OwnedFd Memory() => new((int)Sys.Result(memfd_create("test", 1)).OrThrow("memfd_create"));

    /// <summary>An eventfd as a careless front-end makes it: blocking.</summary>
    internal static OwnedFd BlockingEvent() => new((int)Sys.Result(eventfd(0, O_CLOEXEC)).OrThrow("eventfd"));

    /// <summary>A blocking eventfd that takes no further signal until it is read.</summary>
    internal static unsafe OwnedFd FullBlockingEvent()
    {
        OwnedFd fd = BlockingEvent();
        using FdLease lease = fd.Lease();
        ulong most = ulong.MaxValue - 1;
        Sys.Write(lease.Number, &most, sizeof(ulong)).OrThrow("write");
        return fd;
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int timerfd_create(int clock, int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int memfd_create(string name, uint flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int eventfd(uint value, int flags);
}
