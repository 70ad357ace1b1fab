using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Tests.Support;

/// <summary>A pipe: a descriptor that /proc/self/fd tells from all others, and something to read and write.</summary>
internal static unsafe partial class TestPipe
{
    private const int O_CLOEXEC = 0x80000;

    /// <summary>Both ends; blocking, as a careless front-end would send them.</summary>
    internal static (OwnedFd Read, OwnedFd Write) Create()
    {
        int* fds = stackalloc int[2];
        Sys.Result(pipe2(fds, O_CLOEXEC)).OrThrow("pipe2");
        return (new OwnedFd(fds[0]), new OwnedFd(fds[1]));
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int pipe2(int* fds, int flags);
}
