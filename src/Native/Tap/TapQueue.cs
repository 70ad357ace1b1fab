using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;

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

    /// <summary>Bytes of the header before each frame, 10 or 12, as the interface has it. Set by the owner.</summary>
    internal int HeaderSize { get; set; } = VirtioNetHeader.Size;

    /// <summary>The descriptor of this queue.</summary>
    internal OwnedFd Fd { get; }
}
