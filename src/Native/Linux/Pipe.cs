using System.Runtime.InteropServices;

namespace Ringmaster.Native.Linux;

/// <summary>Pipes: blocking, close-on-exec.</summary>
public static unsafe partial class Pipe
{
    private const int O_CLOEXEC = 0x80000;

    /// <summary>Both ends of a new one.</summary>
    /// <exception cref="LinuxException">No descriptor is left.</exception>
    public static (OwnedFd Read, OwnedFd Write) Create()
    {
        int* fds = stackalloc int[2];
        Sys.Result(pipe2(fds, O_CLOEXEC)).OrThrow("pipe2");
        return (new OwnedFd(fds[0]), new OwnedFd(fds[1]));
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int pipe2(int* fds, int flags);
}
