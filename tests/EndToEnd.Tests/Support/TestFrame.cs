using System.Buffers.Binary;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// A UDP frame that tells its own number and proves its own bytes. Its source port follows the number, so that the kernel
/// spreads the frames over a TAP's queues.
/// </summary>
internal static class TestFrame
{
    internal const int MinimumSize = 60;
    private const int Payload = 42;
    private const ushort Magic = 0x5249;

    /// <summary>Builds frame <paramref name="number"/>; the payload is a pattern that depends on number and place.</summary>
    internal static byte[] Build(int number, int size)
    {
        byte[] frame = new byte[size];
        Span<byte> bytes = frame;
        bytes[0] = 0x02; // to 02:00:00:00:00:01, the guest
        bytes[5] = 0x01;
        bytes[6] = 0x02; // from 02:00:00:00:00:02
        bytes[11] = 0x02;
        BinaryPrimitives.WriteUInt16BigEndian(bytes[12..], 0x0800);
        bytes[14] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(bytes[16..], (ushort)(size - 14));
        bytes[22] = 64;
        bytes[23] = 17;
        BinaryPrimitives.WriteUInt32BigEndian(bytes[26..], 0x0a000001);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[30..], 0x0a000002);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[24..], HeaderChecksum(bytes[14..34]));
        BinaryPrimitives.WriteUInt16BigEndian(bytes[34..], (ushort)(20_000 + (number % 512)));
        BinaryPrimitives.WriteUInt16BigEndian(bytes[36..], 9);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[38..], (ushort)(size - 34));
        BinaryPrimitives.WriteUInt16BigEndian(bytes[Payload..], Magic);
        BinaryPrimitives.WriteInt32BigEndian(bytes[(Payload + 2)..], number);
        for (int i = Payload + 6; i < size; i++)
        {
            frame[i] = (byte)((number * 31) + i);
        }

        return frame;
    }

    /// <summary>The number of a test frame; null when it is some other frame.</summary>
    internal static int? NumberOf(ReadOnlySpan<byte> frame) =>
        frame.Length >= MinimumSize && BinaryPrimitives.ReadUInt16BigEndian(frame[Payload..]) == Magic
            ? BinaryPrimitives.ReadInt32BigEndian(frame[(Payload + 2)..])
            : null;

    private static ushort HeaderChecksum(ReadOnlySpan<byte> header)
    {
        uint sum = 0;
        for (int i = 0; i < header.Length; i += 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(header[i..]);
        }

        sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~(sum + (sum >> 16));
    }
}
