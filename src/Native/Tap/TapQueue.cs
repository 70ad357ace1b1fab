using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Tap;

/// <summary>
/// One queue of a TAP interface: an fd that reads and writes whole frames, each with a virtio-net header before it.
/// Owned by its <see cref="TapInterface"/>; a worker borrows it. Non-blocking.
/// </summary>
public sealed class TapQueue
{
    internal TapQueue(int index, OwnedFd fd)
    {
        Index = index;
        Fd = fd;
    }

    /// <summary>0-based; equals the queue pair's number.</summary>
    public int Index { get; }

    /// <summary>The descriptor of this queue.</summary>
    internal OwnedFd Fd { get; }
}
