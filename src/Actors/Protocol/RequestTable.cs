using System.Collections.Frozen;
using System.Collections.Immutable;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// One row per request that is served. A number without a row is refused by the same rule as any other refusal
/// (<see cref="VhostUserSession.Refuse"/>).
/// </summary>
internal static class RequestTable
{
    private const int AnyMemTable = 8 + (MemTable.MaxRegions * 32);

    private static readonly Range<int> U64 = new(U64Payload.SizeInBytes, U64Payload.SizeInBytes);
    private static readonly Range<int> OneRing = new(VringState.SizeInBytes, VringState.SizeInBytes);
    private static readonly Range<int> RingAddresses = new(VringAddresses.SizeInBytes, VringAddresses.SizeInBytes);
    private static readonly Range<int> Region = new(SingleMemoryRegion.SizeInBytes, SingleMemoryRegion.SizeInBytes);
    private static readonly Range<int> Config = new(ConfigPayload.HeaderSize, ConfigPayload.HeaderSize + ConfigPayload.MaxSize);
    private static readonly Range<int> Inflight = new(InflightPayload.MinSizeInBytes, InflightPayload.SizeInBytes);
    private static readonly Range<int> OneFd = new(1, 1);
    private static readonly Range<int> FdOrNone = new(0, 1);

    /// <summary>The rows, in order of number.</summary>
    internal static ImmutableArray<RequestRow> Rows { get; } =
    [
        new(RequestCode.GetFeatures, DeviceRequests.GetFeatures) { HasReply = true },
        new(RequestCode.SetFeatures, DeviceRequests.SetFeatures) { Payload = U64 },
        new(RequestCode.SetOwner, DeviceRequests.SetOwner),
        new(RequestCode.ResetOwner, DeviceRequests.ResetOwner),
        new(RequestCode.SetMemTable, MemoryRequests.SetMemTable)
        {
            Payload = new(0, AnyMemTable), Fds = new(1, MemTable.MaxRegions), Quiet = Quiet.Fence,
        },
        new(RequestCode.SetLogBase, MigrationRequests.SetLogBase)
        {
            Payload = new(LogPayload.SizeInBytes, LogPayload.SizeInBytes), Fds = OneFd,
            Gate = Gate.Acknowledged, Feature = ProtocolFeatures.LogShmfd, HasReply = true, ReplyIsNegotiated = true,
            ForLackOfReply = Reply.Hangup, Quiet = Quiet.Fence,
        },
        new(RequestCode.SetLogFd, MigrationRequests.SetLogFd)
        {
            Fds = OneFd, Gate = Gate.Offered, Feature = ProtocolFeatures.LogShmfd, Quiet = Quiet.Fence,
        },
        new(RequestCode.SetVringNum, RingRequests.SetNum) { Payload = OneRing, Quiet = Quiet.Ring },
        new(RequestCode.SetVringAddr, RingRequests.SetAddresses) { Payload = RingAddresses },
        new(RequestCode.SetVringBase, RingRequests.SetBase) { Payload = OneRing, Quiet = Quiet.Ring },
        new(RequestCode.GetVringBase, RingRequests.GetBase) { Payload = OneRing, HasReply = true, Quiet = Quiet.StopsRing },
        new(RequestCode.SetVringKick, RingRequests.SetKick) { Payload = U64, Fds = FdOrNone },
        new(RequestCode.SetVringCall, RingRequests.SetCall) { Payload = U64, Fds = FdOrNone },
        new(RequestCode.SetVringErr, RingRequests.SetError) { Payload = U64, Fds = FdOrNone },
        new(RequestCode.GetProtocolFeatures, DeviceRequests.GetProtocolFeatures) { Gate = Gate.Extension, HasReply = true },
        new(RequestCode.SetProtocolFeatures, DeviceRequests.SetProtocolFeatures) { Payload = U64, Gate = Gate.Extension },
        new(RequestCode.GetQueueNum, DeviceRequests.GetQueueNum)
        {
            Gate = Gate.Offered, Feature = ProtocolFeatures.Mq, HasReply = true,
        },
        new(RequestCode.SetVringEnable, RingRequests.SetEnable) { Payload = OneRing, Gate = Gate.Extension },
        new(RequestCode.SendRarp, NetRequests.SendRarp) { Payload = U64, Gate = Gate.Offered, Feature = ProtocolFeatures.Rarp },
        new(RequestCode.NetSetMtu, NetRequests.SetMtu) { Payload = U64, Gate = Gate.Offered, Feature = ProtocolFeatures.Mtu },
        new(RequestCode.SetBackendReqFd, DeviceRequests.SetBackendReqFd)
        {
            Fds = OneFd, Gate = Gate.Offered, Feature = ProtocolFeatures.BackendReq,
        },
        new(RequestCode.IotlbMsg, IotlbRequests.Change)
        {
            Payload = new(IotlbPayload.MinSizeInBytes, IotlbPayload.SizeInBytes), Gate = Gate.AccessPlatform, Quiet = Quiet.Fence,
        },
        new(RequestCode.GetConfig, NetRequests.GetConfig)
        {
            Payload = Config, Gate = Gate.Acknowledged, Feature = ProtocolFeatures.Config, HasReply = true,
            OwnFailure = new Reply.Value(new ConfigPayload(0, 0, 0, ReadOnlyMemory<byte>.Empty).ToBytes()),
        },
        new(RequestCode.SetConfig, NetRequests.SetConfig)
        {
            Payload = Config, Gate = Gate.Acknowledged, Feature = ProtocolFeatures.Config,
        },
        new(RequestCode.PostcopyAdvise, PostcopyRequests.Advise)
        {
            Gate = Gate.Acknowledged, Feature = ProtocolFeatures.Pagefault, HasReply = true, ReplyIsNegotiated = true,
        },
        new(RequestCode.PostcopyListen, PostcopyRequests.Listen)
        {
            Gate = Gate.Acknowledged, Feature = ProtocolFeatures.Pagefault, HasReply = true, ReplyIsNegotiated = true,
        },
        new(RequestCode.PostcopyEnd, PostcopyRequests.End)
        {
            Gate = Gate.Acknowledged, Feature = ProtocolFeatures.Pagefault, HasReply = true, ReplyIsNegotiated = true,
            Quiet = Quiet.Fence,
        },
        new(RequestCode.GetInflightFd, InflightRequests.Get)
        {
            Payload = Inflight, Gate = Gate.Acknowledged, Feature = ProtocolFeatures.InflightShmfd, HasReply = true,
            Quiet = Quiet.Fence,
        },
        new(RequestCode.SetInflightFd, InflightRequests.Set)
        {
            Payload = Inflight, Fds = OneFd, Gate = Gate.Acknowledged, Feature = ProtocolFeatures.InflightShmfd,
            Quiet = Quiet.Fence,
        },
        new(RequestCode.ResetDevice, DeviceRequests.ResetDevice)
        {
            Gate = Gate.Acknowledged, Feature = ProtocolFeatures.ResetDevice, Quiet = Quiet.StopsAll,
        },
        new(RequestCode.VringKick, RingRequests.Kick)
        {
            Payload = OneRing, Gate = Gate.Acknowledged, Feature = ProtocolFeatures.InbandNotifications,
        },
        new(RequestCode.GetMaxMemSlots, MemoryRequests.GetMaxSlots)
        {
            Gate = Gate.Acknowledged, Feature = ProtocolFeatures.ConfigureMemSlots, HasReply = true,
        },
        new(RequestCode.AddMemReg, MemoryRequests.Add)
        {
            Payload = Region, Fds = OneFd,
            Gate = Gate.Acknowledged, Feature = ProtocolFeatures.ConfigureMemSlots, Quiet = Quiet.Fence,
        },
        new(RequestCode.RemMemReg, MemoryRequests.Remove)
        {
            Payload = Region, Fds = FdOrNone,
            Gate = Gate.Acknowledged, Feature = ProtocolFeatures.ConfigureMemSlots, Quiet = Quiet.Fence,
        },
        new(RequestCode.SetStatus, DeviceRequests.SetStatus)
        {
            Payload = U64, Gate = Gate.Acknowledged, Feature = ProtocolFeatures.Status, Quiet = Quiet.StopsAll,
        },
        new(RequestCode.GetStatus, DeviceRequests.GetStatus)
        {
            Gate = Gate.Acknowledged, Feature = ProtocolFeatures.Status, HasReply = true,
        },
        new(RequestCode.SetDeviceStateFd, DeviceStateRequests.SetChannel)
        {
            Payload = new(DeviceStatePayload.SizeInBytes, DeviceStatePayload.SizeInBytes), Fds = OneFd,
            Gate = Gate.Acknowledged, Feature = ProtocolFeatures.DeviceState, HasReply = true, Quiet = Quiet.AllStopped,
            OwnFailure = DeviceStateRequests.NoTransfer,
        },
        new(RequestCode.CheckDeviceState, DeviceStateRequests.Check)
        {
            Gate = Gate.Acknowledged, Feature = ProtocolFeatures.DeviceState, HasReply = true, OwnFailure = Reply.Failure,
        },
    ];

    private static readonly FrozenDictionary<uint, RequestRow> ByNumber = Rows.ToFrozenDictionary(row => (uint)row.Code);

    /// <summary>The row of a request, or null where there is none.</summary>
    internal static RequestRow? Find(uint request) => ByNumber.GetValueOrDefault(request);

    /// <summary>The request's name, or its number where it has none.</summary>
    internal static string NameOf(uint request) =>
        Enum.IsDefined((RequestCode)request) ? ((RequestCode)request).ToString() : $"request {request}";
}
