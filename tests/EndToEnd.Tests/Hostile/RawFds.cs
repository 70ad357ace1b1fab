using System.ComponentModel;
using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>Descriptors of kinds that a front-end has no business to send.</summary>
internal static class RawFds
{
    internal const int ReadOnly = 0;
    internal const int ReadWrite = 2;
    private const int CloseOnExec = 0x80000;
    private const int NonBlocking = 0x800;
    private const int SetStatusFlags = 4;
    private const ulong FullCounter = ulong.MaxValue - 1;

    /// <summary>A pipe; both ends block.</summary>
    internal static (OwnedFd Reader, OwnedFd Writer) Pipe()
    {
        int[] ends = new int[2];
        Checked(pipe2(ends, CloseOnExec), "pipe2");
        return (new OwnedFd(ends[0]), new OwnedFd(ends[1]));
    }

    /// <summary>An eventfd that blocks.</summary>
    internal static OwnedFd BlockingEventFd() => new(Checked(eventfd(0, CloseOnExec), "eventfd"));

    /// <summary>An epoll set.</summary>
    internal static OwnedFd Epoll() => new(Checked(epoll_create1(CloseOnExec), "epoll_create1"));

    /// <summary>A file or device by its path.</summary>
    internal static OwnedFd Open(string path, int mode = ReadWrite) =>
        new(Checked(open(path, mode | CloseOnExec), $"open({path})"));

    /// <summary>Makes an eventfd's next write block.</summary>
    internal static void FillEventFd(OwnedFd eventFd) => Write(eventFd, BitConverter.GetBytes(FullCounter));

    /// <summary>Writes until a pipe takes no more, and leaves it blocking.</summary>
    internal static void FillPipe(OwnedFd writer)
    {
        SetFlags(writer, NonBlocking);
        byte[] waste = new byte[4096];
        while (write(writer, waste, waste.Length) > 0)
        {
            // As long as it takes any.
        }

        while (write(writer, waste, 1) > 0)
        {
            // The last page byte by byte.
        }

        SetBlocking(writer);
    }

    /// <summary>Takes O_NONBLOCK off an open file, for everybody who has it open.</summary>
    internal static void SetBlocking(OwnedFd fd) => SetFlags(fd, 0);

    /// <summary>Writes bytes, all at once.</summary>
    internal static void Write(OwnedFd fd, byte[] bytes) =>
        Assert.Equal(bytes.Length, Checked((int)write(fd, bytes, bytes.Length), "write"));

    private static void SetFlags(OwnedFd fd, int flags) => Checked(fcntl(fd, SetStatusFlags, flags), "fcntl(F_SETFL)");

    private static int Checked(int result, string call) =>
        result >= 0 ? result : throw new Win32Exception(Marshal.GetLastPInvokeError(), call);

    [DllImport("libc", SetLastError = true)]
    private static extern int pipe2(int[] ends, int flags);

    [DllImport("libc", SetLastError = true)]
    private static extern int eventfd(uint count, int flags);

    [DllImport("libc", SetLastError = true)]
    private static extern int epoll_create1(int flags);

    [DllImport("libc", SetLastError = true)]
    private static extern int open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", SetLastError = true)]
    private static extern nint write(OwnedFd fd, byte[] bytes, nint count);

    [DllImport("libc", SetLastError = true)]
    private static extern int fcntl(OwnedFd fd, int command, nint argument);
}
