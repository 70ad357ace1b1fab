using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Worker;

/// <summary>
/// Sorts what a TAP queue answers by what the worker does next: retry (EAGAIN), drop the frame, or fail. A guest can
/// cause only the first two.
/// </summary>
internal static class TapErrors
{
    /// <summary>The queue is detached from its interface, or the interface is gone.</summary>
    internal const int EBADFD = 77;

    /// <summary>True for what no frame can cause: the descriptor itself is of no use any more.</summary>
    internal static bool IsFatal(int errno) => errno is Errno.EBADF or Errno.ENODEV or Errno.ENOSYS;
}
