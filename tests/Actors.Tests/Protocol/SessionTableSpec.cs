using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>One row per (state, message): the reply, the new state, the effects. What a row does not change must stay.</summary>
public sealed class SessionTableSpec
{
    private static readonly MacAddress OtherMac = MacAddress.Parse("02:00:00:00:00:02");

    private static readonly Row[] Rows =
    [
        // Negotiation.
        new("GET_FEATURES", () => new(), () => Message(RequestCode.GetFeatures)) { Reply = Value((ulong)Everything) },
        new("SET_FEATURES", () => new(), () => Message(RequestCode.SetFeatures, U64((ulong)VirtioFeatures.Version1)))
        {
            Change = s => s with { Features = VirtioFeatures.Version1 },
        },
        new("SET_FEATURES, not offered", Negotiated, () => Message(RequestCode.SetFeatures, U64((ulong)VirtioFeatures.RingPacked)))
        {
            Refused = true, Change = s => s with { FeaturesRefused = true },
        },
        new("GET_PROTOCOL_FEATURES", () => new(), () => Message(RequestCode.GetProtocolFeatures))
        {
            Reply = Value((ulong)VhostUserSession.SupportedProtocolFeatures),
        },
        new("SET_PROTOCOL_FEATURES", () => new(), () => Message(RequestCode.SetProtocolFeatures, U64((ulong)ProtocolFeatures.Mq)))
        {
            Change = s => s with { ProtocolFeatures = ProtocolFeatures.Mq },
        },
        new("SET_PROTOCOL_FEATURES, not offered", Negotiated,
            () => Message(RequestCode.SetProtocolFeatures, U64((ulong)ProtocolFeatures.LogShmfd))) { Refused = true },
        new("SET_OWNER", () => new(), () => Message(RequestCode.SetOwner)),
        new("SET_OWNER again", () => Running(0), () => Message(RequestCode.SetOwner)),
        new("RESET_OWNER", () => Running(0, 1), () => Message(RequestCode.ResetOwner)) { Change = AllRings(r => r with { EnableRequest = false }) },
        new("GET_QUEUE_NUM", Negotiated, () => Message(RequestCode.GetQueueNum)) { Reply = Value(4) },

        // Memory.
        new("SET_MEM_TABLE", Negotiated, () => Message(RequestCode.SetMemTable, MemTable.ToBytes([Region]), 1))
        {
            Change = s => s with { Regions = [Region] }, Effects = ["MapMemory"],
        },
        new("SET_MEM_TABLE under running rings", () => Running(0), () => Message(RequestCode.SetMemTable, MemTable.ToBytes([Region]), 1))
        {
            Effects = ["MapMemory"],
        },
        new("SET_MEM_TABLE, one fd short", WithMemory,
            () => Message(RequestCode.SetMemTable, MemTable.ToBytes([Region, Neighbour]), 1)) { Refused = true },
        new("SET_MEM_TABLE, one fd over", WithMemory, () => Message(RequestCode.SetMemTable, MemTable.ToBytes([Region]), 2)) { Refused = true },
        new("SET_MEM_TABLE, no region", WithMemory, () => Message(RequestCode.SetMemTable, MemTable.ToBytes([]), 1)) { Refused = true },
        new("SET_MEM_TABLE, cut off", WithMemory,
            () => Message(RequestCode.SetMemTable, MemTable.ToBytes([Region]).AsMemory()[..^1], 1)) { Refused = true },
        new("GET_MAX_MEM_SLOTS", Negotiated, () => Message(RequestCode.GetMaxMemSlots)) { Reply = Value(509) },
        new("ADD_MEM_REG", WithMemory, () => Message(RequestCode.AddMemReg, new SingleMemoryRegion(Neighbour).ToBytes(), 1))
        {
            Change = s => s with { Regions = [Region, Neighbour] }, Effects = ["AddRegion"],
        },
        new("ADD_MEM_REG without fd", WithMemory, () => Message(RequestCode.AddMemReg, new SingleMemoryRegion(Neighbour).ToBytes())) { Refused = true },
        new("REM_MEM_REG", WithMemory, () => Message(RequestCode.RemMemReg, new SingleMemoryRegion(Region).ToBytes()))
        {
            Change = s => s with { Regions = [] }, Effects = ["RemoveRegion"],
        },
        new("REM_MEM_REG, other offset, stray fd", WithMemory,
            () => Message(RequestCode.RemMemReg, new SingleMemoryRegion(Region with { MmapOffset = 4096 }).ToBytes(), 1))
        {
            Change = s => s with { Regions = [] }, Effects = ["RemoveRegion"],
        },
        new("REM_MEM_REG, unknown region", WithMemory, () => Message(RequestCode.RemMemReg, new SingleMemoryRegion(Neighbour).ToBytes())) { Refused = true },

        // Rings.
        new("SET_VRING_NUM", WithMemory, () => Message(RequestCode.SetVringNum, Ring(3, 512)))
        {
            Change = OneRing(3, r => r with { Size = 512, SizedSinceStop = true }),
        },
        new("SET_VRING_NUM, same size under a running ring", () => Running(0), () => Message(RequestCode.SetVringNum, Ring(0, 256))),
        new("SET_VRING_NUM, other size under a running ring", () => Running(0), () => Message(RequestCode.SetVringNum, Ring(0, 512))) { Refused = true },
        new("SET_VRING_BASE", WithMemory, () => Message(RequestCode.SetVringBase, Ring(1, 65535))) { Change = OneRing(1, r => r with { Base = 65535 }) },
        new("SET_VRING_BASE, too large for a split ring", WithMemory, () => Message(RequestCode.SetVringBase, Ring(1, 65536))) { Refused = true },
        new("SET_VRING_BASE under a running ring", () => Running(1), () => Message(RequestCode.SetVringBase, Ring(1, 7))) { Refused = true },
        new("SET_VRING_ADDR", WithMemory, () => Message(RequestCode.SetVringAddr, Addresses(2).ToBytes()))
        {
            Change = OneRing(2, r => r with { Addresses = Addresses(2) }),
        },
        new("SET_VRING_ADDR with a log that was not offered", () => Running(2),
            () => Message(RequestCode.SetVringAddr, (Addresses(2) with { Flags = 1 }).ToBytes())) { Refused = true },
        new("SET_VRING_ADDR with unknown flags", WithMemory,
            () => Message(RequestCode.SetVringAddr, (Addresses(2) with { Flags = 2 }).ToBytes())) { Refused = true },
        new("SET_VRING_ENABLE 1", WithMemory, () => Message(RequestCode.SetVringEnable, Ring(0, 1))) { Change = OneRing(0, r => r with { EnableRequest = true }) },
        new("SET_VRING_ENABLE 0", () => Running(0), () => Message(RequestCode.SetVringEnable, Ring(0, 0))) { Change = OneRing(0, r => r with { EnableRequest = false }) },
        new("SET_VRING_ENABLE 2", () => Running(0), () => Message(RequestCode.SetVringEnable, Ring(0, 2))) { Refused = true },
        new("SET_VRING_KICK without fd", WithMemory, () => Message(RequestCode.SetVringKick, Index(0, noFd: true))) { Change = OneRing(0, r => r with { Started = true }) },
        new("SET_VRING_KICK, fd promised, none sent", WithMemory, () => Message(RequestCode.SetVringKick, Index(0))) { Refused = true },
        new("SET_VRING_KICK, fd denied, one sent", WithMemory, () => Message(RequestCode.SetVringKick, Index(0, noFd: true), 1)) { Refused = true },
        new("SET_VRING_CALL without fd", () => Running(0), () => Message(RequestCode.SetVringCall, Index(0, noFd: true))),
        new("SET_VRING_ERR without fd", () => Running(0), () => Message(RequestCode.SetVringErr, Index(0, noFd: true))),
        new("GET_VRING_BASE", () => Running(1), () => Message(RequestCode.GetVringBase, Ring(1, 0)))
        {
            Reply = new Reply.RingBase(1),
            Change = OneRing(1, r => r with { Started = false, Kick = null, SizedSinceStop = false }),
        },
        new("GET_VRING_BASE of a ring that stands still", WithMemory, () => Message(RequestCode.GetVringBase, Ring(1, 0))) { Reply = new Reply.RingBase(1) },

        // The card.
        new("NET_SET_MTU", Negotiated, () => Message(RequestCode.NetSetMtu, U64(9000))) { Change = s => s with { Mtu = 9000 } },
        new("SEND_RARP", Negotiated, () => Message(RequestCode.SendRarp, new byte[] { 2, 0, 0, 0, 0, 2, 0, 0 })) { Effects = [$"Announce {OtherMac}"] },
        new("SEND_RARP for a group", Negotiated, () => Message(RequestCode.SendRarp, new byte[] { 1, 0, 0, 0, 0, 2, 0, 0 })) { Refused = true },
        new("SEND_RARP for nobody", Negotiated, () => Message(RequestCode.SendRarp, new byte[8])) { Refused = true },
        new("SET_CONFIG by a migration", Negotiated, () => Message(RequestCode.SetConfig, MacPiece(OtherMac, 1))) { Change = s => s with { Mac = OtherMac } },
        new("SET_CONFIG by a driver of virtio 1", Negotiated, () => Message(RequestCode.SetConfig, MacPiece(OtherMac, 0))) { Refused = true },
        new("SET_CONFIG with unknown flags", Negotiated, () => Message(RequestCode.SetConfig, MacPiece(OtherMac, 2))) { Refused = true },

        // Status and resets.
        new("SET_STATUS", Negotiated, () => Message(RequestCode.SetStatus, U64(0xb)))
        {
            Change = s => s with { Status = DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk },
        },
        new("SET_STATUS, too large", Negotiated, () => Message(RequestCode.SetStatus, U64(0x100))) { Refused = true },
        new("SET_STATUS 0", () => Running(0, 1), () => Message(RequestCode.SetStatus, U64(0))) { Change = AfterReset },
        new("RESET_DEVICE", () => Running(0, 1), () => Message(RequestCode.ResetDevice)) { Change = AfterReset },
        new("GET_STATUS", () => Negotiated().Send(RequestCode.SetStatus, U64(3)), () => Message(RequestCode.GetStatus)) { Reply = Value(3) },

        // What is not served.
        new("number 0", () => Running(0), () => Message(0)) { Refused = true },
        new("SET_LOG_BASE", () => Running(0), () => Message(RequestCode.SetLogBase, new byte[16], 1)) { Refused = true },
        new("number 999", () => Running(0), () => Message((RequestCode)999, new byte[40], 3)) { Refused = true },
    ];

    public static TheoryData<string> Names => [.. Rows.Select(row => row.Name)];

    private static MemoryRegionLayout Neighbour { get; } = new(RegionSize, RegionSize, UserAddress + RegionSize, 0);

    [Theory]
    [MemberData(nameof(Names))]
    public void Each_message_leads_from_its_state_to_the_next(string name)
    {
        Row row = Rows.Single(candidate => candidate.Name == name);
        Conversation conversation = row.Given();
        SessionState before = conversation.State;
        VhostUserMessage message = row.When();

        conversation.Send(message);

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
        conversation.Send(RequestCode.SetProtocolFeatures, U64((ulong)VhostUserSession.SupportedProtocolFeatures));
        VhostUserMessage plain = row.When();
        VhostUserMessage asking = VhostUserMessage.Create(
            plain.Code, plain.Payload, Enumerable.Range(0, plain.FdCount).Select(plain.TakeFd).ToArray(), needReply: true);
        Reply expected = row.Refused ? Reply.Failure : row.Reply == Reply.None ? Reply.Ack : row.Reply;

        conversation.Send(asking);

        // The one request that takes REPLY_ACK away is not acknowledged any more.
        Assert.Equal(name == "SET_PROTOCOL_FEATURES" ? Reply.None : expected, conversation.Last.Reply);
    }

    private static VhostUserMessage Message(RequestCode code, ReadOnlyMemory<byte> payload = default, int fds = 0) =>
        VhostUserMessage.Create(code, payload, Enumerable.Range(0, fds).Select(_ => NewFd()));

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
        Rings = [.. state.Rings.Select(_ => new RingState())],
    };

    private static string Describe(SessionEffect effect) => effect switch
    {
        Announce announce => $"Announce {announce.Mac}",
        _ => effect.GetType().Name,
    };

    private sealed record Row(string Name, Func<Conversation> Given, Func<VhostUserMessage> When)
    {
        public Row(string name, Func<DeviceProfile?, Conversation> given, Func<VhostUserMessage> when)
            : this(name, () => given(null), when)
        {
        }

        public Reply Reply { get; init; } = Reply.None;

        public bool Refused { get; init; }

        public Func<SessionState, SessionState> Change { get; init; } = state => state;

        public string[] Effects { get; init; } = [];
    }
}
