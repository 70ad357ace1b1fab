using Ringmaster.Actors.Settings;
using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Protocol;

/// <summary>What one device offers to front-ends; the same for every connection.</summary>
/// <param name="Features">Device features that may be offered: the settings' mask, less what the TAP cannot do.</param>
/// <param name="ProtocolFeatures">Protocol features that may be offered.</param>
/// <param name="QueuePairs">1 to 128. Ring indices go from 0 to 2 x QueuePairs - 1.</param>
/// <param name="MaxQueueSize">The largest ring accepted.</param>
/// <param name="QueueNum">What the answer to GET_QUEUE_NUM counts.</param>
/// <param name="Mac">The card's address; null = MAC is not offered.</param>
/// <param name="Mtu">The card's MTU; null = MTU is not offered.</param>
public sealed record DeviceProfile(
    VirtioFeatures Features,
    ProtocolFeatures ProtocolFeatures,
    int QueuePairs,
    int MaxQueueSize,
    QueueNumUnit QueueNum,
    MacAddress? Mac,
    int? Mtu)
{
    /// <summary>How many rings there are. A control queue is not among them: front-ends serve it themselves.</summary>
    public int RingCount => 2 * QueuePairs;

    /// <summary>The answer to GET_FEATURES: nothing that is not implemented, nothing that has no value.</summary>
    public VirtioFeatures OfferedFeatures =>
        Features
        & VhostUserSession.SupportedFeatures
        & ~(Mac is null ? VirtioFeatures.Mac : VirtioFeatures.None)
        & ~(Mtu is null ? VirtioFeatures.Mtu : VirtioFeatures.None)
        & ~(HasLog ? VirtioFeatures.None : VirtioFeatures.LogAll)
        & ~(CanAsk ? VirtioFeatures.None : VirtioFeatures.AccessPlatform);

    // LOG_ALL is a promise that a log can be handed over.
    private bool HasLog =>
        Features.HasFlag(VirtioFeatures.ProtocolFeatures) && ProtocolFeatures.HasFlag(ProtocolFeatures.LogShmfd);

    // Translations have to be asked for, and withdrawn ones to be acknowledged: QEMU gives up without these.
    private bool CanAsk =>
        Features.HasFlag(VirtioFeatures.ProtocolFeatures)
        && ProtocolFeatures.HasFlag(ProtocolFeatures.BackendReq | ProtocolFeatures.ReplyAck);

    /// <summary>The answer to GET_PROTOCOL_FEATURES.</summary>
    public ProtocolFeatures OfferedProtocolFeatures => OfferedFeatures.HasFlag(VirtioFeatures.ProtocolFeatures)
        ? ProtocolFeatureNeeds.Reduce(ProtocolFeatures & VhostUserSession.SupportedProtocolFeatures)
        : ProtocolFeatures.None;
}
