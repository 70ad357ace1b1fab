namespace Ringmaster.Host.Demo;

/// <summary>The bytes that travel: both ends know what stands at each position of a stream, and can verify it.</summary>
internal static class Pattern
{
    // A prime, so that no frame boundary repeats where the pattern does.
    private const int Period = 65521;
    private static readonly byte[] Bytes = Make();

    /// <summary>Fills in the bytes from a position on.</summary>
    internal static void Write(Span<byte> room, long position)
    {
        while (!room.IsEmpty)
        {
            ReadOnlySpan<byte> from = Bytes.AsSpan((int)(position % Period));
            int length = Math.Min(from.Length, room.Length);
            from[..length].CopyTo(room);
            room = room[length..];
            position += length;
        }
    }

    /// <summary>True when the bytes are those from a position on.</summary>
    internal static bool Holds(ReadOnlySpan<byte> bytes, long position)
    {
        while (!bytes.IsEmpty)
        {
            ReadOnlySpan<byte> expected = Bytes.AsSpan((int)(position % Period));
            int length = Math.Min(expected.Length, bytes.Length);
            if (!expected[..length].SequenceEqual(bytes[..length]))
            {
                return false;
            }

            bytes = bytes[length..];
            position += length;
        }

        return true;
    }

    private static byte[] Make()
    {
        byte[] bytes = new byte[Period];
        new Random(Period).NextBytes(bytes);
        return bytes;
    }
}
