using System.Collections.Immutable;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// Protocol features that mean nothing without others (docs/interop/vhost-user.rst, "Protocol features"). Neither side may
/// have one alone: it is not offered where one that it needs is masked, and an acknowledgement of it alone is refused.
/// </summary>
internal static class ProtocolFeatureNeeds
{
    private static readonly ImmutableArray<(ProtocolFeatures Feature, ProtocolFeatures Needs)> Rows =
    [
        (ProtocolFeatures.InbandNotifications, ProtocolFeatures.BackendReq | ProtocolFeatures.ReplyAck),
        (ProtocolFeatures.GetVringBaseInflight, ProtocolFeatures.InflightShmfd),
    ];

    /// <summary>Without those that miss one that they need.</summary>
    internal static ProtocolFeatures Reduce(ProtocolFeatures features)
    {
        foreach ((ProtocolFeatures feature, ProtocolFeatures needs) in Rows)
        {
            features &= features.HasFlag(needs) ? features : ~feature;
        }

        return features;
    }

    /// <summary>The reason why these cannot be acknowledged together, or null.</summary>
    internal static string? Check(ProtocolFeatures features)
    {
        foreach ((ProtocolFeatures feature, ProtocolFeatures needs) in Rows)
        {
            if (features.HasFlag(feature) && !features.HasFlag(needs))
            {
                return $"{feature} needs {needs} beside it";
            }
        }

        return null;
    }
}
