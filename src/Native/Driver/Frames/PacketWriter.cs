using System.Buffers.Binary;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Driver.Frames;

/// <summary>TCP's flags.</summary>
[Flags]
public enum TcpFlags : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>The sender has no more data.</summary>
    Fin = 0x01,

    /// <summary>Opens a connection.</summary>
    Syn = 0x02,

    /// <summary>Refuses or breaks a connection.</summary>
    Rst = 0x04,

    /// <summary>Asks the receiver to hand the data on.</summary>
    Psh = 0x08,

    /// <summary>The acknowledgement number counts.</summary>
    Ack = 0x10,
}

/// <summary>The numbers of a TCP header.</summary>
/// <param name="FromPort">Source port.</param>
/// <param name="ToPort">Destination port.</param>
/// <param name="Sequence">Of the first byte.</param>
/// <param name="Acknowledgement">The next byte that is expected.</param>
/// <param name="Flags">Flags.</param>
/// <param name="Window">As it stands in the header, not scaled.</param>
public readonly record struct TcpFields(
    ushort FromPort,
    ushort ToPort,
    uint Sequence,
    uint Acknowledgement,
    TcpFlags Flags,
    ushort Window);

/// <summary>
/// Writes whole frames: Ethernet, then ARP or IPv4 with ICMP, UDP or TCP. The payload is put in place first, at the offset
/// that the constants tell; then the headers are written around it.
/// </summary>
public static class PacketWriter
{
    /// <summary>Bytes of an Ethernet header.</summary>
    public const int EthernetSize = 14;

    /// <summary>Where the payload of an ICMP echo or of UDP begins.</summary>
    public const int DatagramPayload = EthernetSize + Ip4Size + 8;

    /// <summary>Where the payload of TCP without options begins.</summary>
    public const int TcpPayload = EthernetSize + Ip4Size + TcpSize;

    /// <summary>Bytes of an ARP frame.</summary>
    public const int ArpFrameSize = EthernetSize + 28;

    internal const int Ip4Size = 20;
    internal const int TcpSize = 20;
    internal const ushort TypeIp4 = 0x0800;
    internal const ushort TypeArp = 0x0806;
    internal const byte ProtocolIcmp = 1;
    internal const byte ProtocolTcp = 6;
    internal const byte ProtocolUdp = 17;
    private const byte EchoRequest = 8;
    private static readonly MacAddress Broadcast = new([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);

    /// <summary>Asks who has an IPv4 address.</summary>
    /// <returns>Bytes of the frame.</returns>
    public static int ArpRequest(Span<byte> frame, Station from, uint wanted) => Arp(frame, 1, from, Broadcast, default, wanted);

    /// <summary>Answers an ARP request.</summary>
    /// <returns>Bytes of the frame.</returns>
    public static int ArpReply(Span<byte> frame, Station from, Station to) => Arp(frame, 2, from, to.Mac, to.Mac, to.Ip);

    /// <summary>Writes the headers of an ICMP echo request whose payload is in place at <see cref="DatagramPayload"/>.</summary>
    /// <returns>Bytes of the frame.</returns>
    public static int Echo(Span<byte> frame, Station from, Station to, ushort id, ushort sequence, int payload)
    {
        int total = Ip4(frame, from, to, ProtocolIcmp, 8 + payload);
        Span<byte> icmp = frame[(EthernetSize + Ip4Size)..total];
        icmp[0] = EchoRequest;
        icmp[1] = 0;
        BinaryPrimitives.WriteUInt16BigEndian(icmp[2..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(icmp[4..], id);
        BinaryPrimitives.WriteUInt16BigEndian(icmp[6..], sequence);
        BinaryPrimitives.WriteUInt16BigEndian(icmp[2..], InternetChecksum.Of(icmp));
        return total;
    }

    /// <summary>Writes the headers of a UDP datagram whose payload is in place at <see cref="DatagramPayload"/>.</summary>
    /// <returns>Bytes of the frame.</returns>
    public static int Udp(Span<byte> frame, Station from, Station to, ushort fromPort, ushort toPort, int payload)
    {
        int total = Ip4(frame, from, to, ProtocolUdp, 8 + payload);
        Span<byte> udp = frame[(EthernetSize + Ip4Size)..total];
        BinaryPrimitives.WriteUInt16BigEndian(udp, fromPort);
        BinaryPrimitives.WriteUInt16BigEndian(udp[2..], toPort);
        BinaryPrimitives.WriteUInt16BigEndian(udp[4..], (ushort)udp.Length);
        BinaryPrimitives.WriteUInt16BigEndian(udp[6..], 0);
        ushort sum = InternetChecksum.Of(udp, InternetChecksum.PseudoHeader(from.Ip, to.Ip, ProtocolUdp, udp.Length));
        BinaryPrimitives.WriteUInt16BigEndian(udp[6..], sum == 0 ? (ushort)0xffff : sum);
        return total;
    }

    /// <summary>
    /// Writes the headers of a TCP segment, or of many in one GSO frame, whose payload is in place after header and options. The
    /// checksum is left to the device.
    /// </summary>
    /// <param name="frame">The frame.</param>
    /// <param name="from">Sender.</param>
    /// <param name="to">Receiver.</param>
    /// <param name="fields">The header.</param>
    /// <param name="options">A multiple of 4 bytes.</param>
    /// <param name="payload">Bytes of payload.</param>
    /// <param name="segment">Payload bytes of one segment; where the payload is longer, the frame is a GSO frame.</param>
    /// <param name="offload">What to tell the device.</param>
    /// <returns>Bytes of the frame.</returns>
    public static int Tcp(
        Span<byte> frame,
        Station from,
        Station to,
        TcpFields fields,
        ReadOnlySpan<byte> options,
        int payload,
        int segment,
        out VirtioNetHeader offload)
    {
        int header = TcpSize + options.Length;
        int total = Ip4(frame, from, to, ProtocolTcp, header + payload);
        Span<byte> tcp = frame[(EthernetSize + Ip4Size)..total];
        BinaryPrimitives.WriteUInt16BigEndian(tcp, fields.FromPort);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], fields.ToPort);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], fields.Sequence);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[8..], fields.Acknowledgement);
        tcp[12] = (byte)(header / 4 << 4);
        tcp[13] = (byte)fields.Flags;
        BinaryPrimitives.WriteUInt16BigEndian(tcp[14..], fields.Window);
        ushort partial = InternetChecksum.Fold(InternetChecksum.PseudoHeader(from.Ip, to.Ip, ProtocolTcp, tcp.Length));
        BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], partial);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[18..], 0);
        options.CopyTo(tcp[TcpSize..]);
        bool gso = payload > segment;
        offload = new VirtioNetHeader(
            VirtioNetHeader.FlagNeedsCsum,
            gso ? VirtioNetHeader.GsoTcp4 : VirtioNetHeader.GsoNone,
            (ushort)(total - payload),
            gso ? (ushort)segment : (ushort)0,
            EthernetSize + Ip4Size,
            16,
            0);
        return total;
    }

    private static int Ethernet(Span<byte> frame, MacAddress from, MacAddress to, ushort type)
    {
        to.CopyTo(frame);
        from.CopyTo(frame[MacAddress.Size..]);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], type);
        return EthernetSize;
    }

    private static int Ip4(Span<byte> frame, Station from, Station to, byte protocol, int payload)
    {
        Ethernet(frame, from.Mac, to.Mac, TypeIp4);
        Span<byte> ip = frame.Slice(EthernetSize, Ip4Size);
        ip.Clear();
        ip[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(ip[2..], checked((ushort)(Ip4Size + payload)));
        ip[6] = 0x40;
        ip[8] = 64;
        ip[9] = protocol;
        BinaryPrimitives.WriteUInt32BigEndian(ip[12..], from.Ip);
        BinaryPrimitives.WriteUInt32BigEndian(ip[16..], to.Ip);
        BinaryPrimitives.WriteUInt16BigEndian(ip[10..], InternetChecksum.Of(ip));
        return EthernetSize + Ip4Size + payload;
    }

    private static int Arp(Span<byte> frame, byte operation, Station from, MacAddress to, MacAddress asked, uint ip)
    {
        Ethernet(frame, from.Mac, to, TypeArp);
        Span<byte> arp = frame[EthernetSize..ArpFrameSize];
        ReadOnlySpan<byte> ethernetAndIp4 = [0, 1, 8, 0, 6, 4, 0];
        ethernetAndIp4.CopyTo(arp);
        arp[7] = operation;
        from.Mac.CopyTo(arp[8..]);
        BinaryPrimitives.WriteUInt32BigEndian(arp[14..], from.Ip);
        asked.CopyTo(arp[18..]);
        BinaryPrimitives.WriteUInt32BigEndian(arp[24..], ip);
        return ArpFrameSize;
    }
}
