using System.Runtime.Intrinsics;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Worker;

/// <summary>
/// The Internet checksum (RFC 1071) over raw memory, in the machine's own byte order: one's complement sums come out the same
/// in either, once they are stored as they were read.
/// </summary>
internal static unsafe class SegmentChecksum
{
    /// <summary>What a sum over data and its right checksum folds to.</summary>
    internal const ushort Right = 0xffff;

    /// <summary>Sums up bytes; an odd last byte counts as if a zero followed it.</summary>
    internal static ulong Sum(byte* bytes, nuint length)
    {
        ulong sum = 0;
        if (Vector256.IsHardwareAccelerated && length >= (nuint)Vector256<byte>.Count)
        {
            Vector256<ulong> sums = Vector256<ulong>.Zero;
            for (; length >= (nuint)Vector256<byte>.Count; length -= (nuint)Vector256<byte>.Count)
            {
                (Vector256<ulong> low, Vector256<ulong> high) = Vector256.Widen(Vector256.Load((uint*)bytes));
                sums += low + high;
                bytes += Vector256<byte>.Count;
            }

            sum = Vector256.Sum(sums);
        }

        for (; length >= sizeof(uint); length -= sizeof(uint))
        {
            sum += *(uint*)bytes;
            bytes += sizeof(uint);
        }

        if (length >= sizeof(ushort))
        {
            sum += *(ushort*)bytes;
            bytes += sizeof(ushort);
            length -= sizeof(ushort);
        }

        return length == 0 ? sum : sum + *bytes;
    }

    /// <summary>Sums up what vectors hold from an offset on, which is the first byte of a pair.</summary>
    internal static ulong Sum(IoVec* vectors, int count, nuint offset)
    {
        ulong sum = 0;
        nuint summed = 0;
        for (int i = 0; i < count; i++)
        {
            nuint skipped = nuint.Min(offset, vectors[i].Length);
            nuint length = vectors[i].Length - skipped;
            ulong piece = Fold(Sum(vectors[i].Base + skipped, length));

            // A piece that begins in the middle of a pair has its bytes the other way round.
            sum += (summed & 1) == 0 ? piece : ((piece & 0xff) << 8) | (piece >> 8);
            summed += length;
            offset -= skipped;
        }

        return sum;
    }

    /// <summary>Brings a sum down to 16 bits.</summary>
    internal static ushort Fold(ulong sum)
    {
        sum = (sum & 0xffffffff) + (sum >> 32);
        sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
        sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)((sum & 0xffff) + (sum >> 16));
    }
}
