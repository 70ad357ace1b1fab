using System.Buffers.Binary;
using System.Text;

namespace Ringmaster.Native.Linux;

/// <summary>What the kernel says of one network interface (RTM_NEWLINK).</summary>
internal sealed record LinkInfo
{
    /// <summary>
    /// Bytes of C's <c>struct ifinfomsg</c>: family u8, padding, type u16, index i32 at 4, flags u32 at 8, change u32.
    /// </summary>
    internal const int BodySize = 16;

    private const uint IFF_UP = 0x1;
    private const uint IFF_LOWER_UP = 0x10000;
    private const ushort IFLA_ADDRESS = 1;
    private const ushort IFLA_IFNAME = 3;
    private const ushort IFLA_MTU = 4;
    private const ushort IFLA_QDISC = 6;
    private const ushort IFLA_MASTER = 10;
    private const ushort IFLA_LINKINFO = 18;
    private const ushort IFLA_INFO_KIND = 1;
    private const ushort IFLA_INFO_DATA = 2;

    internal required int Index { get; init; }

    internal required string Name { get; init; }

    internal required bool Up { get; init; }

    /// <summary>It is up and has a carrier: frames pass.</summary>
    internal required bool Passes { get; init; }

    internal required int Mtu { get; init; }

    internal required byte[] Address { get; init; }

    /// <summary>Index of the bridge that it is a port of; 0 = none.</summary>
    internal required int Master { get; init; }

    /// <summary>The kind of its queueing discipline, such as <c>noqueue</c>; empty where there is no traffic control.</summary>
    internal required string QueueingDiscipline { get; init; }

    /// <summary>The driver's name, such as <c>tun</c>; null for interfaces of no kind.</summary>
    internal required string? Kind { get; init; }

    /// <summary>What only a TUN or TAP interface has; null for others and on kernels before 4.18.</summary>
    internal required TunInfo? Tun { get; init; }

    /// <summary>Reads the body and the attributes of an RTM_NEWLINK message.</summary>
    internal static LinkInfo Read(ReadOnlyMemory<byte> message)
    {
        Dictionary<ushort, ReadOnlyMemory<byte>> attributes = NetlinkMessage.Attributes(message[BodySize..]);
        Dictionary<ushort, ReadOnlyMemory<byte>> info = NetlinkMessage.Attributes(attributes.GetValueOrDefault(IFLA_LINKINFO));
        string? kind = info.TryGetValue(IFLA_INFO_KIND, out ReadOnlyMemory<byte> name) ? Text(name) : null;
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(message.Span[8..]);
        return new LinkInfo
        {
            Index = BinaryPrimitives.ReadInt32LittleEndian(message.Span[4..]),
            Up = (flags & IFF_UP) != 0,
            Passes = (flags & IFF_UP) != 0 && (flags & IFF_LOWER_UP) != 0,
            Name = Text(attributes.GetValueOrDefault(IFLA_IFNAME)),
            Mtu = Number(attributes, IFLA_MTU) ?? 0,
            Address = attributes.GetValueOrDefault(IFLA_ADDRESS).ToArray(),
            Master = Number(attributes, IFLA_MASTER) ?? 0,
            QueueingDiscipline = Text(attributes.GetValueOrDefault(IFLA_QDISC)),
            Kind = kind,
            Tun = kind == "tun" && info.TryGetValue(IFLA_INFO_DATA, out ReadOnlyMemory<byte> data) ? TunInfo.Read(data) : null,
        };
    }

    internal static int? Number(Dictionary<ushort, ReadOnlyMemory<byte>> attributes, ushort type) =>
        attributes.TryGetValue(type, out ReadOnlyMemory<byte> data) ? BinaryPrimitives.ReadInt32LittleEndian(data.Span) : null;

    private static string Text(ReadOnlyMemory<byte> data) => Encoding.UTF8.GetString(data.Span).TrimEnd('\0');
}

/// <summary>What the kernel says of a TUN or TAP interface.</summary>
/// <param name="IsTap">It carries Ethernet frames.</param>
/// <param name="MultiQueue">It was made with IFF_MULTI_QUEUE.</param>
/// <param name="Persistent">It stays when the last queue closes.</param>
/// <param name="Queues">Queues open at this moment, in whatever process; 0 also where it is not multi-queue.</param>
internal sealed record TunInfo(bool IsTap, bool MultiQueue, bool Persistent, int Queues)
{
    private const ushort IFLA_TUN_TYPE = 3;
    private const ushort IFLA_TUN_PERSIST = 6;
    private const ushort IFLA_TUN_MULTI_QUEUE = 7;
    private const ushort IFLA_TUN_NUM_QUEUES = 8;
    private const ushort IFLA_TUN_NUM_DISABLED_QUEUES = 9;
    private const byte TapType = 2;

    internal static TunInfo Read(ReadOnlyMemory<byte> data)
    {
        Dictionary<ushort, ReadOnlyMemory<byte>> attributes = NetlinkMessage.Attributes(data);
        int enabled = LinkInfo.Number(attributes, IFLA_TUN_NUM_QUEUES) ?? 0;
        int disabled = LinkInfo.Number(attributes, IFLA_TUN_NUM_DISABLED_QUEUES) ?? 0;
        return new TunInfo(
            IsTap: Octet(attributes, IFLA_TUN_TYPE) == TapType,
            MultiQueue: Octet(attributes, IFLA_TUN_MULTI_QUEUE) != 0,
            Persistent: Octet(attributes, IFLA_TUN_PERSIST) != 0,
            Queues: enabled + disabled);
    }

    private static byte Octet(Dictionary<ushort, ReadOnlyMemory<byte>> attributes, ushort type) =>
        attributes.TryGetValue(type, out ReadOnlyMemory<byte> data) ? data.Span[0] : (byte)0;
}
