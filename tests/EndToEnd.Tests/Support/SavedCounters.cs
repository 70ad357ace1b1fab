using System.Buffers.Binary;
using System.Text;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>The counters in a card's saved state, read as docs/protocol.md has it, and not by the code that wrote them.</summary>
internal static class SavedCounters
{
    private const int HeaderSize = 16;
    private const int SectionHeaderSize = 8;
    private const int ChecksumSize = 4;
    private const ushort CountersTag = 4;

    /// <summary>By name, the values of all pairs added up.</summary>
    internal static IReadOnlyDictionary<string, long> Of(ReadOnlySpan<byte> state)
    {
        ReadOnlySpan<byte> rest = SectionOf(state);
        string[] names = new string[rest[0]];
        rest = rest[1..];
        for (int index = 0; index < names.Length; index++)
        {
            names[index] = Encoding.ASCII.GetString(rest.Slice(1, rest[0]));
            rest = rest[(1 + rest[0])..];
        }

        long[] sums = new long[names.Length];
        for (int cell = 0; cell < rest.Length / sizeof(long); cell++)
        {
            sums[cell % names.Length] += BinaryPrimitives.ReadInt64LittleEndian(rest[(cell * sizeof(long))..]);
        }

        return names.Zip(sums).ToDictionary();
    }

    private static ReadOnlySpan<byte> SectionOf(ReadOnlySpan<byte> state)
    {
        ReadOnlySpan<byte> rest = state[HeaderSize..^ChecksumSize];
        while (BinaryPrimitives.ReadUInt16LittleEndian(rest) != CountersTag)
        {
            rest = rest[(SectionHeaderSize + BinaryPrimitives.ReadInt32LittleEndian(rest[4..]))..];
        }

        return rest.Slice(SectionHeaderSize, BinaryPrimitives.ReadInt32LittleEndian(rest[4..]));
    }
}
