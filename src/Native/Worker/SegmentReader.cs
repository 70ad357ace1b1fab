using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <summary>
/// Decides whether a frame may become a <see cref="Segment"/>. Its headers are copied out of guest memory once, and judged,
/// compared and written anew in the copy; what the guest makes of its own meanwhile changes nothing.
/// </summary>
internal static unsafe class SegmentReader
{
    /// <summary>Bytes of room for one frame's headers.</summary>
    internal const int Room = 144;

    private const int EthernetTypeAt = Segment.EthernetAt + 12;
    private const ushort TypeIp4 = 0x0800;
    private const ushort TypeIp6 = 0x86dd;
    private const byte Udp = 17;
    private const byte Tcp = 6;
    private const int DontFragment = 0x4000;
    internal const byte TcpPush = 0x08;
    private const byte TcpAck = 0x10;

    /// <summary>
    /// Copies a frame's headers and judges them. What differs between segments of one frame is zero in the copy afterwards.
    /// </summary>
    /// <param name="frame">The frame, in guest memory.</param>
    /// <param name="length">Its bytes, virtio header included.</param>
    /// <param name="headerSize">Bytes of the virtio header.</param>
    /// <param name="headers"><see cref="Room"/> bytes, to be filled as <see cref="Segment"/> shows.</param>
    /// <returns>The segment; default when the frame must go out as it is.</returns>
    internal static Segment Read(in FrameIo frame, int length, int headerSize, byte* headers)
    {
        byte* virtio = headers + Segment.EthernetAt - headerSize;
        int copied = Copy(frame, virtio, Math.Min(length, headerSize + Segment.LongestHeader));
        int there = copied - headerSize;
        Segment segment = ReadNetwork(headers, there, length - headerSize);
        if (segment.GsoType == VirtioNetHeader.GsoNone || !ChecksumHolds(segment, frame, headerSize, headers, virtio))
        {
            return default;
        }

        Clear(segment, headers);
        return segment;
    }

    private static int Copy(in FrameIo frame, byte* to, int wanted)
    {
        int copied = 0;
        for (int i = 0; i < frame.Count && copied < wanted; i++)
        {
            int piece = (int)nuint.Min(frame.Vectors[i].Length, (nuint)(wanted - copied));
            Unsafe.CopyBlockUnaligned(to + copied, frame.Vectors[i].Base, (uint)piece);
            copied += piece;
        }

        return copied;
    }

    private static Segment ReadNetwork(byte* headers, int there, int frameLength)
    {
        ushort type = ReadBig(headers + EthernetTypeAt);
        byte* ip = headers + Segment.NetworkAt;
        if (type == TypeIp4 && there >= Segment.EthernetLength + Segment.Ip4Length)
        {
            int fragment = ReadBig(ip + 6);
            bool plain = ip[0] == 0x45
                && ReadBig(ip + 2) == frameLength - Segment.EthernetLength
                && (fragment & ~DontFragment) == 0
                && SegmentChecksum.Fold(SegmentChecksum.Sum(ip, Segment.Ip4Length)) == SegmentChecksum.Right;
            return plain
                ? ReadTransport(headers, there, frameLength, Segment.Ip4Length, ip[9]) with
                {
                    Id = ReadBig(ip + 4),
                    Atomic = fragment != 0,
                }
                : default;
        }

        if (type == TypeIp6 && there >= Segment.EthernetLength + Segment.Ip6Length)
        {
            bool plain = ip[0] >> 4 == 6 && ReadBig(ip + 4) == frameLength - Segment.EthernetLength - Segment.Ip6Length;
            return plain
                ? ReadTransport(headers, there, frameLength, Segment.Ip6Length, ip[6]) with { Atomic = true }
                : default;
        }

        return default;
    }

    private static Segment ReadTransport(byte* headers, int there, int frameLength, int networkLength, byte protocol)
    {
        byte* transport = headers + Segment.NetworkAt + networkLength;
        int before = Segment.EthernetLength + networkLength;
        if (protocol == Udp && there >= before + Segment.UdpLength)
        {
            int payload = frameLength - before - Segment.UdpLength;
            return payload > 0 && ReadBig(transport + 4) == frameLength - before
                ? new Segment(VirtioNetHeader.GsoUdpL4, before + Segment.UdpLength, payload) { NetworkLength = networkLength }
                : default;
        }

        return protocol == Tcp ? ReadTcp(transport, there - before, frameLength - before, networkLength) : default;
    }

    private static Segment ReadTcp(byte* tcp, int there, int length, int networkLength)
    {
        const int shortest = 20;
        if (there < shortest)
        {
            return default;
        }

        // The low half of the first byte and all other flags are ECN's, or end or begin a connection.
        int header = tcp[12] >> 2;
        bool plain = (tcp[12] & 15) == 0
            && (tcp[13] & ~TcpPush) == TcpAck
            && header >= shortest
            && header <= there
            && header < length;
        byte type = networkLength == Segment.Ip4Length ? VirtioNetHeader.GsoTcp4 : VirtioNetHeader.GsoTcp6;
        return plain
            ? new Segment(type, Segment.EthernetLength + networkLength + header, length - header)
            {
                NetworkLength = networkLength,
                Sequence = BinaryPrimitives.ReverseEndianness(*(uint*)(tcp + 4)),
                Push = (tcp[13] & TcpPush) != 0,
            }
            : default;
    }

    /// <summary>
    /// A wrong checksum must stay wrong: the host would compute a right one for a merged frame. UDP over IPv4 may have none.
    /// </summary>
    private static bool ChecksumHolds(in Segment segment, in FrameIo frame, int headerSize, byte* headers, byte* virtio)
    {
        byte* transport = headers + segment.TransportAt;
        ushort stored = *(ushort*)(transport + segment.ChecksumOffset);
        int length = segment.TransportLength + segment.Payload;
        bool whole = virtio[1] == VirtioNetHeader.GsoNone && virtio[0] == 0;
        if (!whole)
        {
            bool partial = virtio[1] == VirtioNetHeader.GsoNone
                && virtio[0] == VirtioNetHeader.FlagNeedsCsum
                && *(ushort*)(virtio + 6) == segment.TransportAt - Segment.EthernetAt
                && *(ushort*)(virtio + 8) == segment.ChecksumOffset;
            return partial && stored == SegmentChecksum.Fold(segment.PseudoHeader(headers, length));
        }

        if (stored == 0 && !segment.IsTcp)
        {
            return segment.IsIp4;
        }

        ulong sum = segment.PseudoHeader(headers, length)
            + SegmentChecksum.Sum(transport, (nuint)segment.TransportLength)
            + SegmentChecksum.Sum(frame.Vectors, frame.Count, (nuint)(headerSize + segment.HeaderLength));
        return SegmentChecksum.Fold(sum) == SegmentChecksum.Right;
    }

    /// <summary>What is left must be equal in all segments of a frame.</summary>
    private static void Clear(in Segment segment, byte* headers)
    {
        byte* ip = headers + Segment.NetworkAt;
        byte* transport = headers + segment.TransportAt;
        if (segment.IsIp4)
        {
            // Total length and identification; the checksum.
            *(uint*)(ip + 2) = 0;
            *(ushort*)(ip + 10) = 0;
        }
        else
        {
            *(ushort*)(ip + 4) = 0;
        }

        if (segment.IsTcp)
        {
            *(uint*)(transport + 4) = 0;
            transport[13] = TcpAck;
        }
        else
        {
            *(ushort*)(transport + 4) = 0;
        }

        *(ushort*)(transport + segment.ChecksumOffset) = 0;
    }

    private static ushort ReadBig(byte* at) => BinaryPrimitives.ReverseEndianness(*(ushort*)at);
}
