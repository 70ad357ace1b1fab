using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using static Ringmaster.Actors.Tests.Protocol.Conversation;
using static Ringmaster.Native.VhostUser.RequestCode;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>One row per (state, message): the reply, the new state, the effects. What a row does not change must stay.</summary>
public sealed class SessionTableSpec
{
    private const VirtioFeatures EverythingLogged = Everything | VirtioFeatures.LogAll;

    private static readonly MacAddress OtherMac = MacAddress.Parse("02:00:00:00:00:02");

    private static readonly MemoryRegionLayout Neighbour = new(RegionSize, RegionSize, UserAddress + RegionSize, 0);

    private static readonly Row[] Rows =
    [
        // Negotiation.
        new("GET_FEATURES", () => new(), GetFeatures) { Reply = Value((ulong)VhostUserSession.SupportedFeatures) },
        new("SET_FEATURES", () => new(), SetFeatures, U64((ulong)VirtioFeatures.Version1))
        {
            Change = s => s with { Features = VirtioFeatures.Version1 },
        },
        new("SET_FEATURES, not offered", Negotiated, SetFeatures, U64((ulong)VirtioFeatures.OrderPlatform))
        {
            Refused = true, Change = s => s with { FeaturesRefused = true },
        },
        new("GET_PROTOCOL_FEATURES", () => new(), GetProtocolFeatures)
        {
            Reply = Value((ulong)VhostUserSession.SupportedProtocolFeatures),
        },
        new("SET_PROTOCOL_FEATURES", () => new(), SetProtocolFeatures, U64((ulong)ProtocolFeatures.Mq))
        {
            Change = s => s with { ProtocolFeatures = ProtocolFeatures.Mq },
        },
        Refused("SET_PROTOCOL_FEATURES, not offered", Negotiated, SetProtocolFeatures, U64((ulong)ProtocolFeatures.XenMmap)),
        new("SET_OWNER", () => new(), SetOwner),
        new("SET_OWNER again", () => Running(0), SetOwner),
        new("RESET_OWNER", () => Running(0, 1), ResetOwner) { Change = AllRings(r => r with { EnableRequest = false }) },
        new("GET_QUEUE_NUM", Negotiated, GetQueueNum) { Reply = Value(4) },

        // Memory.
        new("SET_MEM_TABLE", Negotiated, SetMemTable, MemTable.ToBytes([Region]), 1)
        {
            Change = s => s with { Regions = [Region] }, Effects = ["MapMemory"],
        },
        new("SET_MEM_TABLE under running rings", () => Running(0), SetMemTable, MemTable.ToBytes([Region]), 1)
        {
            Effects = ["MapMemory"],
        },
        Refused("SET_MEM_TABLE, one fd short", WithMemory, SetMemTable, MemTable.ToBytes([Region, Neighbour]), 1),
        Refused("SET_MEM_TABLE, one fd over", WithMemory, SetMemTable, MemTable.ToBytes([Region]), 2),
        Refused("SET_MEM_TABLE, no region", WithMemory, SetMemTable, MemTable.ToBytes([]), 1),
        Refused("SET_MEM_TABLE, cut off", WithMemory, SetMemTable, MemTable.ToBytes([Region]).AsMemory()[..^1], 1),
        new("GET_MAX_MEM_SLOTS", Negotiated, GetMaxMemSlots) { Reply = Value(509) },
        new("ADD_MEM_REG", WithMemory, AddMemReg, OneRegion(Neighbour), 1)
        {
            Change = s => s with { Regions = [Region, Neighbour] }, Effects = ["AddRegion"],
        },
        Refused("ADD_MEM_REG without fd", WithMemory, AddMemReg, OneRegion(Neighbour)),
        new("REM_MEM_REG", WithMemory, RemMemReg, OneRegion(Region))
        {
            Change = s => s with { Regions = [] }, Effects = ["RemoveRegion"],
        },
        new("REM_MEM_REG, other offset, stray fd", WithMemory, RemMemReg, OneRegion(Region with { MmapOffset = 4096 }), 1)
        {
            Change = s => s with { Regions = [] }, Effects = ["RemoveRegion"],
        },
        Refused("REM_MEM_REG, unknown region", WithMemory, RemMemReg, OneRegion(Neighbour)),

        // The log.
        new("SET_LOG_BASE", WithMemory, SetLogBase, new LogPayload(4096, 8192).ToBytes(), 1)
        {
            Reply = Value(0), Effects = ["MapLog 4096 8192"],
        },
        new("SET_LOG_BASE under running rings", () => Running(0, 1), SetLogBase, new LogPayload(64, 0).ToBytes(), 1)
        {
            Reply = Value(0), Effects = ["MapLog 64 0"],
        },
        new("SET_LOG_BASE, the old form", WithMemory, SetLogBase, new byte[8], 1) { Refused = true, Reply = Reply.Hangup },
        new("SET_LOG_BASE without fd", WithMemory, SetLogBase, new byte[16]) { Refused = true, Reply = Reply.Hangup },
        Refused("SET_LOG_FD without fd", WithMemory, SetLogFd),
        Refused("SET_LOG_FD with a number", WithMemory, SetLogFd, new byte[8], 1),
        new("SET_FEATURES with LOG_ALL under running rings", () => Running(0), SetFeatures, U64((ulong)EverythingLogged))
        {
            Change = s => s with { Features = EverythingLogged },
        },

        // Rings.
        new("SET_VRING_NUM", WithMemory, SetVringNum, Ring(3, 512))
        {
            Change = OneRing(3, r => r with { Size = 512, SizedSinceStop = true }),
        },
        new("SET_VRING_NUM, same size under a running ring", () => Running(0), SetVringNum, Ring(0, 256)),
        Refused("SET_VRING_NUM, other size under a running ring", () => Running(0), SetVringNum, Ring(0, 512)),
        new("SET_VRING_BASE", WithMemory, SetVringBase, Ring(1, 65535)) { Change = OneRing(1, r => r with { Base = 65535 }) },
        Refused("SET_VRING_BASE, too large for a split ring", WithMemory, SetVringBase, Ring(1, 65536)),
        Refused("SET_VRING_BASE under a running ring", () => Running(1), SetVringBase, Ring(1, 7)),
        new("SET_VRING_ADDR", WithMemory, SetVringAddr, Addresses(2).ToBytes())
        {
            Change = OneRing(2, r => r with { Addresses = Addresses(2) }),
        },
        new("SET_VRING_ADDR with a log", () => Running(2), SetVringAddr, FlaggedAddresses(1))
        {
            Change = OneRing(2, r => r with { Addresses = Addresses(2) with { Flags = 1 } }),
        },
        Refused("SET_VRING_ADDR, a log that was not offered", WithoutLog, SetVringAddr, FlaggedAddresses(1)),
        Refused("SET_VRING_ADDR, unknown flags", WithMemory, SetVringAddr, FlaggedAddresses(2)),
        new("SET_VRING_ENABLE 1", WithMemory, SetVringEnable, Ring(0, 1))
        {
            Change = OneRing(0, r => r with { EnableRequest = true }),
        },
        new("SET_VRING_ENABLE 0", () => Running(0), SetVringEnable, Ring(0, 0))
        {
            Change = OneRing(0, r => r with { EnableRequest = false }),
        },
        Refused("SET_VRING_ENABLE 2", () => Running(0), SetVringEnable, Ring(0, 2)),
        new("SET_VRING_KICK without fd", WithMemory, SetVringKick, Index(0, noFd: true))
        {
            Change = OneRing(0, r => r with { KickSaid = true, Started = true }),
        },
        Refused("SET_VRING_KICK, fd promised, none sent", WithMemory, SetVringKick, Index(0)),
        Refused("SET_VRING_KICK, fd denied, one sent", WithMemory, SetVringKick, Index(0, noFd: true), 1),
        new("SET_VRING_CALL without fd", () => Running(0), SetVringCall, Index(0, noFd: true))
        {
            Change = OneRing(0, r => r with { CallSaid = true }),
        },
        new("SET_VRING_ERR without fd", () => Running(0), SetVringErr, Index(0, noFd: true)),
        new("GET_VRING_BASE", () => Running(1), GetVringBase, Ring(1, 0))
        {
            Reply = new Reply.RingBase(1),
            Change = OneRing(1, r => r with { Started = false, Kick = null, KickSaid = false, SizedSinceStop = false }),
        },
        new("GET_VRING_BASE of a ring that stands still", WithMemory, GetVringBase, Ring(1, 0)) { Reply = new Reply.RingBase(1) },

        // The card.
        new("NET_SET_MTU", Negotiated, NetSetMtu, U64(9000)) { Change = s => s with { Mtu = 9000 } },
        new("SEND_RARP", Negotiated, SendRarp, new byte[] { 2, 0, 0, 0, 0, 2, 0, 0 }) { Effects = [$"Announce {OtherMac}"] },
        Refused("SEND_RARP for a group", Negotiated, SendRarp, new byte[] { 1, 0, 0, 0, 0, 2, 0, 0 }),
        Refused("SEND_RARP for nobody", Negotiated, SendRarp, new byte[8]),
        new("SET_CONFIG by a migration", Negotiated, SetConfig, MacPiece(OtherMac, 1))
        {
            Change = s => s with { Mac = OtherMac },
        },
        Refused("SET_CONFIG by a driver of virtio 1", Negotiated, SetConfig, MacPiece(OtherMac, 0)),
        Refused("SET_CONFIG with unknown flags", Negotiated, SetConfig, MacPiece(OtherMac, 2)),

        // Status and resets.
        new("SET_STATUS", Negotiated, SetStatus, U64(0xb))
        {
            Change = s => s with { Status = DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk },
        },
        Refused("SET_STATUS, too large", Negotiated, SetStatus, U64(0x100)),
        new("SET_STATUS 0", () => Running(0, 1), SetStatus, U64(0)) { Change = AfterReset },
        new("RESET_DEVICE", () => Running(0, 1), ResetDevice) { Change = AfterReset },
        new("GET_STATUS", () => Negotiated().Send(SetStatus, U64(3)), GetStatus) { Reply = Value(3) },

        // What is not served.
        Refused("number 0", () => Running(0), (RequestCode)0),
        Refused("IOTLB_MSG", () => Running(0), IotlbMsg, new byte[32]),
        Refused("number 999", () => Running(0), (RequestCode)999, new byte[40], 3),
    ];

    public static TheoryData<string> Names => [.. Rows.Select(row => row.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Each_message_leads_from_its_state_to_the_next(string name)
    {
        Row row = Rows.Single(candidate => candidate.Name == name);
        Conversation conversation = row.Given();
        SessionState before = conversation.State;

        conversation.Send(row.Message(needReply: false));

        Assert.Equal(row.Refused, conversation.Last.Refusal is not null);
        Assert.Equal(row.Reply, conversation.Last.Reply);
        Assert.Equal(row.Effects, conversation.Last.Effects.Select(Describe));
        Assert.Equal(StateText.Of(row.Change(before)), StateText.Of(conversation.State));
    }

    /// <summary>The same messages, now with need_reply: done is 0, refused is not, an own reply stays as it is.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Each_message_is_acknowledged_on_demand(string name)
    {
        Row row = Rows.Single(candidate => candidate.Name == name);
        Conversation conversation = row.Given();
        conversation.Send(SetProtocolFeatures, U64((ulong)VhostUserSession.SupportedProtocolFeatures));
        Reply expected = row.Refused ? Reply.Failure : row.Reply == Reply.None ? Reply.Ack : row.Reply;

        conversation.Send(row.Message(needReply: true));

        // The one request that takes REPLY_ACK away is not acknowledged any more.
        Assert.Equal(name == "SET_PROTOCOL_FEATURES" ? Reply.None : expected, conversation.Last.Reply);
    }

    private static Conversation WithoutLog() =>
        Negotiated(Profile with { ProtocolFeatures = Profile.ProtocolFeatures & ~ProtocolFeatures.LogShmfd });

    private static Row Refused(
        string name, Func<Conversation> given, RequestCode code, ReadOnlyMemory<byte> payload = default, int fds = 0) =>
        new(name, given, code, payload, fds) { Refused = true };

    private static ReadOnlyMemory<byte> OneRegion(MemoryRegionLayout region) => new SingleMemoryRegion(region).ToBytes();

    private static ReadOnlyMemory<byte> FlaggedAddresses(uint flags) => (Addresses(2) with { Flags = flags }).ToBytes();

    private static Reply Value(ulong value) => new Reply.Value(U64(value));

    private static ReadOnlyMemory<byte> MacPiece(MacAddress mac, uint flags)
    {
        byte[] bytes = new byte[MacAddress.Size];
        mac.CopyTo(bytes);
        return new ConfigPayload(0, MacAddress.Size, flags, bytes).ToBytes();
    }

    private static Func<SessionState, SessionState> OneRing(int ring, Func<RingState, RingState> change) =>
        state => state with { Rings = state.Rings.SetItem(ring, change(state.Rings[ring])) };

    private static Func<SessionState, SessionState> AllRings(Func<RingState, RingState> change) =>
        state => state with { Rings = [.. state.Rings.Select(change)] };

    private static SessionState AfterReset(SessionState state) => state with
    {
        Features = VirtioFeatures.None,
        Status = DeviceStatus.None,
        Rings = [.. state.Rings.Select(ring => new RingState { StoppedAt = ring.Base })],
    };

    private static string Describe(SessionEffect effect) => effect switch
    {
        Announce announce => $"Announce {announce.Mac}",
        MapLog log => $"MapLog {log.Size} {log.Offset}",
        _ => effect.GetType().Name,
    };

    private sealed record Row(
        string Name, Func<Conversation> Given, RequestCode Code, ReadOnlyMemory<byte> Payload = default, int Fds = 0)
    {
        public Reply Reply { get; init; } = Reply.None;

        public bool Refused { get; init; }

        public Func<SessionState, SessionState> Change { get; init; } = state => state;

        public string[] Effects { get; init; } = [];

        public VhostUserMessage Message(bool needReply) =>
            VhostUserMessage.Create(Code, Payload, Enumerable.Range(0, Fds).Select(_ => NewFd()), needReply);
    }
}
