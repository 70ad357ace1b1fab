using System.Buffers.Binary;
using Ringmaster.Native.Driver.Frames;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests.Matrix;

/// <summary>
/// Frames that tell their number and prove their bytes: UDP over IPv4, or, where a frame is longer than any MTU, TCP over IPv6
/// that is to be cut into segments (GSO). The source port is the flow, by which the kernel chooses a queue of the TAP.
/// </summary>
internal static class MatrixFrame
{
    /// <summary>Where the bytes of a segment begin: Ethernet, IPv6 and TCP lie before them.</summary>
    internal const int SegmentPayload = 14 + 40 + 20;

    /// <summary>What each segment but the last carries.</summary>
    internal const int SegmentSize = 1440;

    /// <summary>The longest frame that is sent whole.</summary>
    internal const int LargestPlain = 9014;

    /// <summary>The longest that a Linux host hands to a device as one: below 64 KiB, its Ethernet header included.</summary>
    internal const int LongestWhole = 65_535;

    private const int DatagramPayload = 42;
    private const ushort Magic = 0x4d58;
    private const ushort Port = 9;

    /// <summary>Builds frame <paramref name="number"/>.</summary>
    internal static byte[] Build(int number, int flow, int size)
    {
        byte[] frame = new byte[size];
        frame[0] = 0x02;
        frame[5] = 0x01;
        frame[6] = 0x02;
        frame[11] = 0x02;
        if (size <= LargestPlain)
        {
            BuildDatagram(frame, number, flow);
        }
        else
        {
            BuildSegments(frame, number, flow);
        }

        return frame;
    }

    /// <summary>The header that goes with a frame.</summary>
    internal static VirtioNetHeader HeaderOf(int size) => size <= LargestPlain
        ? default
        : new VirtioNetHeader(
            VirtioNetHeader.FlagNeedsCsum, VirtioNetHeader.GsoTcp6, SegmentPayload, SegmentSize, SegmentPayload - 20, 16, 0);

    /// <summary>Reads a frame's number and place; false when it is somebody else's frame.</summary>
    /// <param name="frame">Ethernet header and all.</param>
    /// <param name="number">Its number.</param>
    /// <param name="offset">Which byte of the long frame its first is; 0 for a datagram.</param>
    /// <param name="segment">True when it is a long frame or a segment of one.</param>
    internal static bool TryRead(ReadOnlySpan<byte> frame, out int number, out int offset, out bool segment)
    {
        number = offset = 0;
        segment = frame.Length > SegmentPayload && BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) == 0x86dd;
        if (segment && BinaryPrimitives.ReadUInt16BigEndian(frame[56..]) == Port)
        {
            offset = BinaryPrimitives.ReadInt32BigEndian(frame[58..]);
            number = BinaryPrimitives.ReadInt32BigEndian(frame[62..]);
            return true;
        }

        if (segment || frame.Length < 60 || BinaryPrimitives.ReadUInt16BigEndian(frame[DatagramPayload..]) != Magic)
        {
            return false;
        }

        number = BinaryPrimitives.ReadInt32BigEndian(frame[(DatagramPayload + 2)..]);
        return true;
    }

    private static void BuildDatagram(Span<byte> frame, int number, int flow)
    {
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], 0x0800);
        frame[14] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(frame[16..], (ushort)(frame.Length - 14));
        frame[22] = 64;
        frame[23] = 17;
        BinaryPrimitives.WriteUInt32BigEndian(frame[26..], 0x0a000001);
        BinaryPrimitives.WriteUInt32BigEndian(frame[30..], 0x0a000002);
        BinaryPrimitives.WriteUInt16BigEndian(frame[24..], InternetChecksum.Of(frame[14..34]));
        BinaryPrimitives.WriteUInt16BigEndian(frame[34..], (ushort)(20_000 + flow));
        BinaryPrimitives.WriteUInt16BigEndian(frame[36..], Port);
        BinaryPrimitives.WriteUInt16BigEndian(frame[38..], (ushort)(frame.Length - 34));
        BinaryPrimitives.WriteUInt16BigEndian(frame[DatagramPayload..], Magic);
        BinaryPrimitives.WriteInt32BigEndian(frame[(DatagramPayload + 2)..], number);
        Fill(frame[(DatagramPayload + 6)..], number);
    }

    /// <summary>The sequence number counts the frame's own bytes, the acknowledgement tells the frame's number.</summary>
    private static void BuildSegments(Span<byte> frame, int number, int flow)
    {
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], 0x86dd);
        frame[14] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(frame[18..], (ushort)(frame.Length - 54));
        frame[20] = 6;
        frame[21] = 64;
        frame[22] = frame[38] = 0xfd;
        frame[37] = 1;
        frame[53] = 2;
        BinaryPrimitives.WriteUInt16BigEndian(frame[54..], (ushort)(20_000 + flow));
        BinaryPrimitives.WriteUInt16BigEndian(frame[56..], Port);
        BinaryPrimitives.WriteInt32BigEndian(frame[62..], number);
        frame[66] = 5 << 4;
        frame[67] = (byte)TcpFlags.Ack;
        BinaryPrimitives.WriteUInt16BigEndian(frame[68..], 1000);

        // NEEDS_CSUM: the sum of the pseudo header stands where the checksum belongs.
        ulong pseudo = InternetChecksum.Add(frame[22..54], 6 + (ulong)(frame.Length - 54));
        BinaryPrimitives.WriteUInt16BigEndian(frame[70..], InternetChecksum.Fold(pseudo));
        Fill(frame[SegmentPayload..], number);
    }

    private static void Fill(Span<byte> bytes, int number)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)((number * 31) + i + (i >> 8));
        }
    }
}
