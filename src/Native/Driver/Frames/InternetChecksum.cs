using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Ringmaster.Native.Driver.Frames;

/// <summary>The checksum of IPv4, ICMP, UDP and TCP (RFC 1071).</summary>
public static class InternetChecksum
{
    /// <summary>Adds bytes to a sum; an odd last byte counts as if a zero followed it.</summary>
    /// <param name="bytes">What to add.</param>
    /// <param name="sum">The sum so far, of an even number of bytes.</param>
    /// <returns>A sum that fits 16 bits once folded; see <see cref="Fold"/>.</returns>
    public static ulong Add(ReadOnlySpan<byte> bytes, ulong sum = 0)
    {
        // One's complement sums may be taken in any word size and byte order, as long as carries come round again.
        ulong swapped = 0;
        ReadOnlySpan<uint> words = MemoryMarshal.Cast<byte, uint>(bytes);
        foreach (uint word in words)
        {
            swapped += word;
        }

        ReadOnlySpan<byte> rest = bytes[(4 * words.Length)..];
        if (rest.Length >= 2)
        {
            swapped += BinaryPrimitives.ReadUInt16LittleEndian(rest);
            rest = rest[2..];
        }

        swapped += rest.IsEmpty ? 0u : rest[0];
        return sum + BinaryPrimitives.ReverseEndianness(Fold(swapped));
    }

    /// <summary>Brings a sum down to 16 bits.</summary>
    public static ushort Fold(ulong sum)
    {
        while (sum > 0xffff)
        {
            sum = (sum & 0xffff) + (sum >> 16);
        }

        return (ushort)sum;
    }

    /// <summary>The checksum that makes the whole come out right.</summary>
    public static ushort Of(ReadOnlySpan<byte> bytes, ulong sum = 0) => (ushort)~Fold(Add(bytes, sum));

    /// <summary>The sum of the pseudo header of TCP and UDP over IPv4.</summary>
    public static ulong PseudoHeader(uint from, uint to, byte protocol, int length) =>
        (ulong)(from >> 16) + (from & 0xffff) + (to >> 16) + (to & 0xffff) + protocol + (uint)length;
}
