namespace Ringmaster.Native.Driver;

/// <summary>One buffer of a chain, by its guest-physical address.</summary>
/// <param name="Address">Guest-physical address; not checked.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Writable">True: the device writes it; false: the device reads it.</param>
public readonly record struct RingBuffer(ulong Address, uint Length, bool Writable);

/// <summary>A descriptor exactly as it is to stand in memory, for guests that misbehave.</summary>
/// <param name="Address">Guest-physical address.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Flags">NEXT 1, WRITE 2, INDIRECT 4; a packed ring adds its AVAIL and USED bits.</param>
/// <param name="Next">
/// Split rings: a position in the same list, turned into the descriptor's number; a value past the list is written as it is.
/// Packed rings: ignored.
/// </param>
public readonly record struct RawDescriptor(ulong Address, uint Length, ushort Flags, int Next = 0);

/// <summary>A chain that came back.</summary>
/// <param name="Token">What <see cref="DriverRing.TryAdd"/> was given.</param>
/// <param name="Length">Bytes that the device says it wrote.</param>
public readonly record struct UsedChain(long Token, uint Length);

/// <summary>Where the three parts of a ring lie, by guest-physical address.</summary>
/// <param name="Descriptors">Descriptor table, or packed descriptor ring.</param>
/// <param name="Driver">Available ring, or driver event suppression.</param>
/// <param name="Device">Used ring, or device event suppression.</param>
public readonly record struct RingAddresses(ulong Descriptors, ulong Driver, ulong Device);

/// <summary>The device broke the rules of a ring: a chain that was not out, too many, too long, or out of order.</summary>
public sealed class RingViolationException(string message) : Exception(message);

/// <summary>How a <see cref="DriverRing"/> is made.</summary>
public sealed record DriverRingOptions
{
    /// <summary>Descriptors: 1 to 32768; a power of two for split rings.</summary>
    public required int Size { get; init; }

    /// <summary>True: a packed ring (VIRTIO_F_RING_PACKED).</summary>
    public bool Packed { get; init; }

    /// <summary>True: VIRTIO_F_EVENT_IDX is acknowledged.</summary>
    public bool EventIdx { get; init; }

    /// <summary>True: VIRTIO_F_IN_ORDER is acknowledged.</summary>
    public bool InOrder { get; init; }

    /// <summary>Entries that an indirect table has room for; 0 = no indirect chains.</summary>
    public int IndirectEntries { get; init; }

    /// <summary>The region of <see cref="GuestRam"/> that the ring is taken from.</summary>
    public int Region { get; init; }

    /// <summary>Bytes after which each part of the ring begins anew: 64, or 4096 for parts on pages of their own.</summary>
    public ulong Alignment { get; init; } = 64;
}
