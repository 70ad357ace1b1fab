using System.Buffers.Binary;

namespace Ringmaster.Fuzz;

/// <summary>Takes an input apart, from its first byte to its last. Behind the last stand zeros.</summary>
internal sealed class InputReader(byte[] input)
{
    private int _next;

    internal bool IsAtEnd => _next >= input.Length;

    internal byte Byte() => _next < input.Length ? input[_next++] : (byte)0;

    internal ushort Short() => (ushort)(Byte() | (Byte() << 8));

    /// <summary>At most so many bytes; fewer where the input ends.</summary>
    internal ReadOnlySpan<byte> Bytes(int length)
    {
        ReadOnlySpan<byte> bytes = input.AsSpan(_next, Math.Min(length, input.Length - _next));
        _next += bytes.Length;
        return bytes;
    }

    /// <summary>A little-endian number of up to 8 bytes.</summary>
    internal ulong Number(int length)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        Bytes(length).CopyTo(bytes);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }
}
