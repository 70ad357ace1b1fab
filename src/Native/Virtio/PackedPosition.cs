namespace Ringmaster.Native.Virtio;

/// <summary>
/// Positions in a packed ring (virtio 1.3 section 2.8.1), kept as one number from 0 to 2 x size - 1: the first lap of two is
/// the one with wrap counter 1, in which the ring begins; the second has wrap counter 0. On the wire and in
/// <c>RingPlan.Base</c> a position is 16 bits: 15 of index and the wrap counter on top.
/// </summary>
internal static class PackedPosition
{
    private const ushort WrapBit = 0x8000;

    /// <summary>The ring slot.</summary>
    internal static int Index(int position, int size) => position < size ? position : position - size;

    /// <summary>The wrap counter.</summary>
    internal static bool Wrap(int position, int size) => position < size;

    /// <summary>The position <paramref name="slots"/> further on; at most two laps.</summary>
    internal static int Advance(int position, int slots, int size)
    {
        position += slots;
        return position < 2 * size ? position : position - (2 * size);
    }

    /// <summary>The position <paramref name="slots"/> before; at most two laps.</summary>
    internal static int Rewind(int position, int slots, int size)
    {
        position -= slots;
        return position >= 0 ? position : position + (2 * size);
    }

    /// <summary>How many slots lie from one position to a later one: 0 to 2 x size - 1.</summary>
    internal static int Distance(int from, int to, int size) => Rewind(to, from, size);

    /// <summary>The 16-bit form.</summary>
    internal static ushort Encode(int position, int size) =>
        (ushort)(Index(position, size) | (Wrap(position, size) ? WrapBit : 0));

    /// <summary>Reads the 16-bit form; false when there is no such slot.</summary>
    internal static bool TryDecode(ushort encoded, int size, out int position)
    {
        int index = encoded & ~WrapBit;
        position = (encoded & WrapBit) != 0 ? index : index + size;
        return index < size;
    }

    /// <summary>True when a position lies in [<paramref name="since"/>, <paramref name="now"/>).</summary>
    internal static bool Crossed(int wanted, int now, int since, int size) =>
        Distance(since, wanted, size) < Distance(since, now, size);
}
