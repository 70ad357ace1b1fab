using Ringmaster.Native.VhostUser;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>
/// What each request that is served must look like, by the vhost-user specification; written down here a second time.
/// </summary>
/// <param name="MinSize">The least bytes of payload.</param>
/// <param name="MaxSize">The most bytes of payload that make sense.</param>
/// <param name="MinFds">The least descriptors.</param>
/// <param name="MaxFds">The most descriptors.</param>
internal sealed record RequestShape(int MinSize, int MaxSize, int MinFds = 0, int MaxFds = 0)
{
    /// <summary>The most descriptors of one message; more end the connection.</summary>
    internal const int MostFds = 32;

    private const int MaxConfig = 12 + 256;

    /// <summary>All that is served, in one of its forms where it has several.</summary>
    internal static IReadOnlyDictionary<RequestCode, RequestShape> All { get; } = new Dictionary<RequestCode, RequestShape>
    {
        [RequestCode.GetFeatures] = new(0, 0),
        [RequestCode.SetFeatures] = new(8, 8),
        [RequestCode.SetOwner] = new(0, 0),
        [RequestCode.ResetOwner] = new(0, 0),
        [RequestCode.SetMemTable] = new(40, 40, 1, 1),
        [RequestCode.SetLogBase] = new(16, 16, 1, 1) { Needs = ProtocolFeatures.LogShmfd },
        [RequestCode.SetLogFd] = new(0, 0, 1, 1),
        [RequestCode.SetVringNum] = new(8, 8),
        [RequestCode.SetVringAddr] = new(40, 40),
        [RequestCode.SetVringBase] = new(8, 8),
        [RequestCode.GetVringBase] = new(8, 8),
        [RequestCode.SetVringKick] = new(8, 8, 1, 1),
        [RequestCode.SetVringCall] = new(8, 8, 1, 1),
        [RequestCode.SetVringErr] = new(8, 8, 1, 1),
        [RequestCode.GetProtocolFeatures] = new(0, 0),
        [RequestCode.SetProtocolFeatures] = new(8, 8),
        [RequestCode.GetQueueNum] = new(0, 0),
        [RequestCode.SetVringEnable] = new(8, 8),
        [RequestCode.SendRarp] = new(8, 8),
        [RequestCode.NetSetMtu] = new(8, 8),
        [RequestCode.SetBackendReqFd] = new(0, 0, 1, 1),
        [RequestCode.IotlbMsg] = new(26, 32) { BehindIommu = true },
        [RequestCode.GetConfig] = new(12, MaxConfig) { Needs = ProtocolFeatures.Config },
        [RequestCode.SetConfig] = new(12, MaxConfig) { Needs = ProtocolFeatures.Config },
        [RequestCode.PostcopyAdvise] = new(0, 0) { Needs = ProtocolFeatures.Pagefault },
        [RequestCode.PostcopyListen] = new(0, 0) { Needs = ProtocolFeatures.Pagefault },
        [RequestCode.PostcopyEnd] = new(0, 0) { Needs = ProtocolFeatures.Pagefault },
        [RequestCode.GetInflightFd] = new(20, 24) { Needs = ProtocolFeatures.InflightShmfd },
        [RequestCode.SetInflightFd] = new(20, 24, 1, 1) { Needs = ProtocolFeatures.InflightShmfd },
        [RequestCode.ResetDevice] = new(0, 0) { Needs = ProtocolFeatures.ResetDevice },
        [RequestCode.VringKick] = new(8, 8) { Needs = ProtocolFeatures.InbandNotifications },
        [RequestCode.GetMaxMemSlots] = new(0, 0) { Needs = ProtocolFeatures.ConfigureMemSlots },
        [RequestCode.AddMemReg] = new(40, 40, 1, 1) { Needs = ProtocolFeatures.ConfigureMemSlots },
        [RequestCode.RemMemReg] = new(40, 40, 0, 1) { Needs = ProtocolFeatures.ConfigureMemSlots },
        [RequestCode.SetStatus] = new(8, 8) { Needs = ProtocolFeatures.Status },
        [RequestCode.GetStatus] = new(0, 0) { Needs = ProtocolFeatures.Status },
        [RequestCode.SetDeviceStateFd] = new(8, 8, 1, 1) { Needs = ProtocolFeatures.DeviceState },
        [RequestCode.CheckDeviceState] = new(0, 0) { Needs = ProtocolFeatures.DeviceState },
    };

    /// <summary>The protocol feature that must have been acknowledged.</summary>
    internal ProtocolFeatures Needs { get; init; }

    /// <summary>ACCESS_PLATFORM must have been acknowledged.</summary>
    internal bool BehindIommu { get; init; }

    /// <summary>Sizes just outside what is right, and far outside.</summary>
    internal IEnumerable<int> WrongSizes => new[] { 0, MinSize - 1, MaxSize + 1, MaxSize + 8, 4096 }
        .Where(size => size >= 0 && (size < MinSize || size > MaxSize))
        .Distinct();

    /// <summary>Numbers of descriptors that are not right, up to the most that any message may carry.</summary>
    internal IEnumerable<int> WrongFdCounts => new[] { 0, MaxFds + 1, MostFds }.Where(count => count < MinFds || count > MaxFds);
}
