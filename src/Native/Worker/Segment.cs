using System.Buffers.Binary;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <summary>
/// A frame that may become a segment of a merged one: plain Ethernet; IPv4 without options or IPv6 without extension headers,
/// no fragment; UDP, or TCP with data and nothing but ACK and PSH set; not padded; with a checksum that is right, or that the
/// host is to complete.
/// <code>
/// Its headers, in a copy of our own:
///    16 - virtio header   16
///    16 Ethernet          14      2 x MAC address, type u16
///    30 IPv4              20      version and length u8, TOS u8, total length u16, id u16, flags and offset u16, TTL u8,
///                                 protocol u8, checksum u16, source u32, destination u32
///    30 IPv6              40      version, class and flow u32, payload length u16, next header u8, hop limit u8, 2 x address
///    50 or 70 UDP          8      source u16, destination u16, length u16, checksum u16
///    50 or 70 TCP   20 to 60      source u16, destination u16, sequence u32, acknowledgement u32, header length u8, flags u8,
///                                 window u16, checksum u16, urgent u16, options
/// </code>
/// </summary>
/// <param name="GsoType">What a frame merged from such segments is (<see cref="VirtioNetHeader"/>); 0 = none.</param>
/// <param name="HeaderLength">Bytes of all headers from Ethernet on.</param>
/// <param name="Payload">Bytes of payload; at least 1.</param>
internal readonly unsafe record struct Segment(byte GsoType, int HeaderLength, int Payload)
{
    /// <summary>Where the virtio header ends and the Ethernet header begins.</summary>
    internal const int EthernetAt = 16;

    internal const int NetworkAt = EthernetAt + EthernetLength;
    internal const int EthernetLength = 14;
    internal const int Ip4Length = 20;
    internal const int Ip6Length = 40;
    internal const int UdpLength = 8;
    internal const int LongestTcp = 60;

    /// <summary>Bytes of the longest headers from Ethernet on.</summary>
    internal const int LongestHeader = EthernetLength + Ip6Length + LongestTcp;

    /// <summary>IPv4's identification; what counts when the datagram could be fragmented.</summary>
    internal ushort Id { get; init; }

    /// <summary>True where the identification has no meaning (IPv4 with DF, RFC 6864; IPv6 has none).</summary>
    internal bool Atomic { get; init; }

    /// <summary>TCP's sequence number.</summary>
    internal uint Sequence { get; init; }

    /// <summary>TCP's PSH: nothing may follow in the same merged frame.</summary>
    internal bool Push { get; init; }

    internal bool IsTcp => GsoType is VirtioNetHeader.GsoTcp4 or VirtioNetHeader.GsoTcp6;

    internal bool IsIp4 => NetworkLength == Ip4Length;

    internal int NetworkLength { get; init; }

    internal int TransportAt => NetworkAt + NetworkLength;

    internal int TransportLength => HeaderLength - EthernetLength - NetworkLength;

    /// <summary>Where in the transport header its checksum stands.</summary>
    internal int ChecksumOffset => IsTcp ? 16 : 6;

    /// <summary>
    /// The sum over the pseudo header of UDP and TCP (RFC 768, RFC 8200 section 8.1), in the machine's byte order.
    /// </summary>
    /// <param name="headers">The headers.</param>
    /// <param name="length">Bytes of transport header and payload.</param>
    internal ulong PseudoHeader(byte* headers, int length)
    {
        ulong sum = BinaryPrimitives.ReverseEndianness((ushort)length);
        sum += (ulong)(IsTcp ? 6 : 17) << 8;
        byte* addresses = headers + NetworkAt + (IsIp4 ? 12 : 8);
        return sum + SegmentChecksum.Sum(addresses, IsIp4 ? 8u : 32u);
    }
}
