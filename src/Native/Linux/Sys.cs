using System.Runtime.InteropServices;

namespace Ringmaster.Native.Linux;

/// <summary>
/// System calls as results: the one place that retries EINTR and reads errno. Each call turns the C library's
/// -1 into a negative errno at once, before anything else can change errno.
/// </summary>
/// <remarks>
/// Tmds.LibC has no readv, writev, gettid or prctl, and its sendmsg helpers get CMSG_LEN wrong on 64-bit; those are declared
/// here, in <c>FrameCalls</c> and in <c>FdPassing</c>. Everything is blittable, so the stub is a plain call.
/// </remarks>
internal static unsafe partial class Sys
{
    private const string C = "libc";

    internal const int O_NONBLOCK = 0x800;
    private const int F_GETFD = 1;
    private const int F_SETFD = 2;
    private const int F_GETFL = 3;
    private const int F_SETFL = 4;
    private const int F_DUPFD_CLOEXEC = 1030;
    private const int FD_CLOEXEC = 1;
    private const int RWF_NOWAIT = 8;
    private const nint NoOffset = -1;
    private const int O_ACCMODE = 3;
    private const int O_RDONLY = 0;
    private const int O_WRONLY = 1;

    internal static bool Close(int fd) => close(fd) == 0;

    internal static OwnedFd Duplicate(OwnedFd fd)
    {
        using FdLease lease = fd.Lease();
        return new OwnedFd((int)Result(fcntl(lease.Number, F_DUPFD_CLOEXEC, 0)).OrThrow("fcntl(F_DUPFD_CLOEXEC)"));
    }

    internal static bool IsOpen(int fd) => fcntl(fd, F_GETFD, 0) >= 0;

    internal static IoResult SetCloseOnExec(int fd) => Result(fcntl(fd, F_SETFD, FD_CLOEXEC));

    internal static IoResult SetNonBlocking(int fd, bool on)
    {
        IoResult flags = Result(fcntl(fd, F_GETFL, 0));
        if (!flags.Ok)
        {
            return flags;
        }

        long wanted = on ? flags.Count | O_NONBLOCK : flags.Count & ~O_NONBLOCK;
        return wanted == flags.Count ? flags : Result(fcntl(fd, F_SETFL, (nint)wanted));
    }

    /// <summary>True when the open file can be written, or read.</summary>
    internal static bool IsOpenFor(int fd, bool writing)
    {
        IoResult flags = Result(fcntl(fd, F_GETFL, 0));
        return flags.Ok && (flags.Count & O_ACCMODE) != (writing ? O_RDONLY : O_WRONLY);
    }

    internal static IoResult Read(int fd, void* buffer, nuint length)
    {
        IoResult result;
        do
        {
            result = Result(read(fd, buffer, length));
        }
        while (result.Error == Errno.EINTR);
        return result;
    }

    internal static IoResult Write(int fd, void* buffer, nuint length)
    {
        IoResult result;
        do
        {
            result = Result(write(fd, buffer, length));
        }
        while (result.Error == Errno.EINTR);
        return result;
    }

    /// <summary>
    /// Reads and never waits, whatever others have set on the open file: O_NONBLOCK is theirs as well. Older kernels do not
    /// promise that of a pipe; there it is an ordinary read.
    /// </summary>
    internal static IoResult ReadNow(int fd, void* buffer, nuint length)
    {
        var vector = new IoVec { Base = (byte*)buffer, Length = length };
        IoResult result;
        do
        {
            result = Result(preadv2(fd, &vector, 1, NoOffset, RWF_NOWAIT));
        }
        while (result.Error == Errno.EINTR);
        return result.Error == Errno.EOPNOTSUPP ? Read(fd, buffer, length) : result;
    }

    /// <summary>Writes and never waits, as <see cref="ReadNow"/>.</summary>
    internal static IoResult WriteNow(int fd, void* buffer, nuint length)
    {
        IoResult result = TryWriteNow(fd, buffer, length);
        return result.Error == Errno.EOPNOTSUPP ? Write(fd, buffer, length) : result;
    }

    /// <summary>The same, or EOPNOTSUPP where the kernel cannot promise it.</summary>
    internal static IoResult TryWriteNow(int fd, void* buffer, nuint length)
    {
        var vector = new IoVec { Base = (byte*)buffer, Length = length };
        IoResult result;
        do
        {
            result = Result(pwritev2(fd, &vector, 1, NoOffset, RWF_NOWAIT));
        }
        while (result.Error == Errno.EINTR);
        return result;
    }

    /// <summary>Turns a -1 into the negated errno. Must follow the call directly.</summary>
    internal static IoResult Result(nint returned) =>
        returned >= 0 ? new IoResult(returned) : new IoResult(-Marshal.GetLastPInvokeError());

    [LibraryImport(C, SetLastError = true)]
    private static partial int close(int fd);

    [LibraryImport(C, SetLastError = true)]
    private static partial int fcntl(int fd, int command, nint argument);

    [LibraryImport(C, SetLastError = true)]
    private static partial nint read(int fd, void* buffer, nuint length);

    [LibraryImport(C, SetLastError = true)]
    private static partial nint write(int fd, void* buffer, nuint length);

    [LibraryImport(C, SetLastError = true)]
    private static partial nint preadv2(int fd, IoVec* vectors, int count, nint offset, int flags);

    [LibraryImport(C, SetLastError = true)]
    private static partial nint pwritev2(int fd, IoVec* vectors, int count, nint offset, int flags);
}

/// <summary>C's <c>struct iovec</c>: 16 bytes on 64-bit, base at 0, length at 8.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct IoVec
{
    internal byte* Base;
    internal nuint Length;
}
