using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <summary>
/// Everything that one ring needs to run. Immutable; the worker leases the fds while it uses them, their owner is
/// the device.
/// </summary>
public sealed record RingPlan
{
    /// <summary>The ring's number, by which it is known in the in-flight region.</summary>
    public int Index { get; init; }

    /// <summary>Number of descriptors: 1 to 32768; a power of two for split rings.</summary>
    public required int Size { get; init; }

    /// <summary>Descriptor table (split) or descriptor ring (packed): the front-end's virtual address.</summary>
    public required ulong DescriptorAddress { get; init; }

    /// <summary>Available ring (split) or driver event suppression (packed): the front-end's virtual address.</summary>
    public required ulong DriverAddress { get; init; }

    /// <summary>Used ring (split) or device event suppression (packed): the front-end's virtual address.</summary>
    public required ulong DeviceAddress { get; init; }

    /// <summary>
    /// What SET_VRING_BASE said, or what the last worker reported. Split: bits 0-15 the next available index.
    /// Packed: bits 0-14 next available, bit 15 its wrap counter, bits 16-30 next used, bit 31 its wrap counter.
    /// </summary>
    public required uint Base { get; init; }

    /// <summary>The acknowledged device features.</summary>
    public required VirtioFeatures Features { get; init; }

    /// <summary>
    /// Where the used ring (packed: the device event suppression) lies by guest address, when what is written to the ring is
    /// to be marked in the log (VHOST_VRING_F_LOG); else null. What is written to receive buffers is marked when
    /// <see cref="Features"/> has LOG_ALL.
    /// </summary>
    public ulong? LogUsed { get; init; }

    /// <summary>False: started but disabled (transmit is drained and discarded, receive gets nothing).</summary>
    public required bool Enabled { get; init; }

    /// <summary>The driver's kicks, or null where the ring is polled (SET_VRING_KICK with bit 8).</summary>
    public OwnedFd? Kick { get; init; }

    /// <summary>Calls to the driver, or null where the driver polls.</summary>
    public OwnedFd? Call { get; init; }

    /// <summary>Signalled when the ring is given up, or null.</summary>
    public OwnedFd? Error { get; init; }
}
