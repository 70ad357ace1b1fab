using System.Buffers.Binary;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Driver.Frames;

/// <summary>What a received frame is.</summary>
public enum PacketKind
{
    /// <summary>Nothing that is understood here, or damaged.</summary>
    Other,

    /// <summary>An ARP request.</summary>
    ArpRequest,

    /// <summary>An ARP reply.</summary>
    ArpReply,

    /// <summary>An ICMP echo request.</summary>
    EchoRequest,

    /// <summary>An ICMP echo reply.</summary>
    EchoReply,

    /// <summary>A UDP datagram.</summary>
    Udp,

    /// <summary>A TCP segment, perhaps many in one frame.</summary>
    Tcp,
}

/// <summary>A received frame, taken apart. Lengths and checksums have been verified.</summary>
public readonly ref struct Packet
{
    private Packet(PacketKind kind, Station from, uint toIp, ReadOnlySpan<byte> header, ReadOnlySpan<byte> payload)
    {
        Kind = kind;
        From = from;
        ToIp = toIp;
        Header = header;
        Payload = payload;
    }

    /// <summary>What it is.</summary>
    public PacketKind Kind { get; }

    /// <summary>The sender.</summary>
    public Station From { get; }

    /// <summary>The receiver's address; in an ARP request the one that is asked for.</summary>
    public uint ToIp { get; }

    /// <summary>What ICMP, UDP or TCP carries.</summary>
    public ReadOnlySpan<byte> Payload { get; }

    /// <summary>Source port of UDP and TCP; identifier of an ICMP echo.</summary>
    public ushort FromPort => BinaryPrimitives.ReadUInt16BigEndian(Header[(IsEcho ? 4 : 0)..]);

    /// <summary>Destination port of UDP and TCP; sequence number of an ICMP echo.</summary>
    public ushort ToPort => BinaryPrimitives.ReadUInt16BigEndian(Header[(IsEcho ? 6 : 2)..]);

    /// <summary>The numbers of a TCP segment.</summary>
    public TcpFields TcpFields => new(
        FromPort,
        ToPort,
        BinaryPrimitives.ReadUInt32BigEndian(Header[4..]),
        BinaryPrimitives.ReadUInt32BigEndian(Header[8..]),
        (TcpFlags)Header[13],
        BinaryPrimitives.ReadUInt16BigEndian(Header[14..]));

    /// <summary>The options of a TCP segment.</summary>
    public ReadOnlySpan<byte> TcpOptions => Header[PacketWriter.TcpSize..];

    private ReadOnlySpan<byte> Header { get; }

    private bool IsEcho => Kind is PacketKind.EchoReply or PacketKind.EchoRequest;

    /// <summary>Takes a frame apart.</summary>
    /// <param name="frame">The frame, without the virtio header.</param>
    /// <param name="header">What the device says about it: a checksum still to be completed is not verified.</param>
    public static Packet Parse(ReadOnlySpan<byte> frame, VirtioNetHeader header)
    {
        if (frame.Length < PacketWriter.EthernetSize)
        {
            return default;
        }

        ReadOnlySpan<byte> body = frame[PacketWriter.EthernetSize..];
        return BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) switch
        {
            PacketWriter.TypeArp when body.Length >= 28 => ParseArp(body),
            PacketWriter.TypeIp4 when body.Length >= PacketWriter.Ip4Size => ParseIp4(frame, body, header),
            _ => default,
        };
    }

    private static Packet ParseArp(ReadOnlySpan<byte> arp)
    {
        var from = new Station(new MacAddress(arp[8..14]), BinaryPrimitives.ReadUInt32BigEndian(arp[14..]));
        PacketKind kind = arp[7] switch
        {
            1 => PacketKind.ArpRequest,
            2 => PacketKind.ArpReply,
            _ => PacketKind.Other,
        };
        return new Packet(kind, from, BinaryPrimitives.ReadUInt32BigEndian(arp[24..]), default, default);
    }

    private static Packet ParseIp4(ReadOnlySpan<byte> frame, ReadOnlySpan<byte> ip, VirtioNetHeader header)
    {
        int ipHeader = (ip[0] & 15) * 4;
        int total = BinaryPrimitives.ReadUInt16BigEndian(ip[2..]);
        bool fragment = (BinaryPrimitives.ReadUInt16BigEndian(ip[6..]) & 0x3fff) != 0;
        if (ip[0] >> 4 != 4 || ipHeader < 20 || total < ipHeader + 8 || total > ip.Length || fragment
            || InternetChecksum.Of(ip[..ipHeader]) != 0)
        {
            return default;
        }

        var from = new Station(new MacAddress(frame[6..12]), BinaryPrimitives.ReadUInt32BigEndian(ip[12..]));
        uint toIp = BinaryPrimitives.ReadUInt32BigEndian(ip[16..]);
        ReadOnlySpan<byte> body = ip[ipHeader..total];
        bool trusted = (header.Flags & (VirtioNetHeader.FlagNeedsCsum | VirtioNetHeader.FlagDataValid)) != 0;
        ulong pseudo = ip[9] == PacketWriter.ProtocolIcmp ? 0 : InternetChecksum.PseudoHeader(from.Ip, toIp, ip[9], body.Length);
        bool without = ip[9] == PacketWriter.ProtocolUdp && body[6] == 0 && body[7] == 0;
        if (!trusted && !without && InternetChecksum.Of(body, pseudo) != 0)
        {
            return default;
        }

        return ip[9] switch
        {
            PacketWriter.ProtocolIcmp when body[0] == 8 => new Packet(PacketKind.EchoRequest, from, toIp, body[..8], body[8..]),
            PacketWriter.ProtocolIcmp when body[0] == 0 => new Packet(PacketKind.EchoReply, from, toIp, body[..8], body[8..]),
            PacketWriter.ProtocolUdp => new Packet(PacketKind.Udp, from, toIp, body[..8], body[8..]),
            PacketWriter.ProtocolTcp when body.Length >= PacketWriter.TcpSize => ParseTcp(from, toIp, body),
            _ => default,
        };
    }

    private static Packet ParseTcp(Station from, uint toIp, ReadOnlySpan<byte> tcp)
    {
        int header = (tcp[12] >> 4) * 4;
        return header < PacketWriter.TcpSize || header > tcp.Length
            ? default
            : new Packet(PacketKind.Tcp, from, toIp, tcp[..header], tcp[header..]);
    }
}
