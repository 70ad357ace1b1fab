namespace Ringmaster.Native.Virtio;

/// <summary>What a side of a packed ring wants to be notified of (virtio 1.3 section 2.8.10).</summary>
internal enum RingEventMode
{
    /// <summary>Everything.</summary>
    Enable = 0,

    /// <summary>Nothing.</summary>
    Disable = 1,

    /// <summary>A certain descriptor. Only with EVENT_IDX.</summary>
    AtPosition = 2,
}

/// <summary>
/// Event suppression of a packed ring, one aligned little-endian word, so that its parts are read, and written, in one access:
/// bits 0-14 the descriptor, bit 15 its wrap counter, bits 16-17 the mode, the rest reserved.
/// </summary>
internal readonly record struct RingEvent(uint Word)
{
    internal RingEvent(ushort position, RingEventMode mode)
        : this(position | ((uint)mode << 16))
    {
    }

    internal ushort Position => (ushort)Word;

    internal RingEventMode Mode => (RingEventMode)((Word >> 16) & 3);
}
