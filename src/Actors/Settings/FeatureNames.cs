using System.Collections.Immutable;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Settings;

/// <summary>
/// The features that Ringmaster can offer, by the names that HOCON and the log use: the specification's, in
/// kebab-case and without the VIRTIO_NET_F_ and VHOST_USER_PROTOCOL_F_ before them.
/// </summary>
public static class FeatureNames
{
    private const VirtioFeatures GuestTso = VirtioFeatures.GuestTso4 | VirtioFeatures.GuestTso6;
    private const VirtioFeatures HostTso = VirtioFeatures.HostTso4 | VirtioFeatures.HostTso6;

    /// <summary>Device features that HOCON can mask, each with those of which at least one must be offered beside it.</summary>
    internal static readonly ImmutableArray<(VirtioFeatures Feature, VirtioFeatures NeedsOneOf)> Device =
    [
        (VirtioFeatures.Version1, 0),
        (VirtioFeatures.ProtocolFeatures, 0),
        (VirtioFeatures.AnyLayout, 0),
        (VirtioFeatures.IndirectDesc, 0),
        (VirtioFeatures.EventIdx, 0),
        (VirtioFeatures.RingPacked, VirtioFeatures.Version1),
        (VirtioFeatures.InOrder, 0),
        (VirtioFeatures.NotificationData, VirtioFeatures.Version1),
        (VirtioFeatures.RingReset, VirtioFeatures.Version1),
        (VirtioFeatures.MrgRxbuf, 0),
        (VirtioFeatures.Csum, 0),
        (VirtioFeatures.HostTso4, VirtioFeatures.Csum),
        (VirtioFeatures.HostTso6, VirtioFeatures.Csum),
        (VirtioFeatures.HostEcn, HostTso),
        (VirtioFeatures.HostUfo, VirtioFeatures.Csum),
        (VirtioFeatures.HostUso, VirtioFeatures.Csum),
        (VirtioFeatures.GuestCsum, 0),
        (VirtioFeatures.GuestTso4, VirtioFeatures.GuestCsum),
        (VirtioFeatures.GuestTso6, VirtioFeatures.GuestCsum),
        (VirtioFeatures.GuestEcn, GuestTso),
        (VirtioFeatures.GuestUfo, VirtioFeatures.GuestCsum),
        (VirtioFeatures.GuestUso4, VirtioFeatures.GuestCsum),
        (VirtioFeatures.GuestUso6, VirtioFeatures.GuestCsum),
        (VirtioFeatures.Mac, 0),
        (VirtioFeatures.Mtu, 0),
        (VirtioFeatures.Status, 0),
        (VirtioFeatures.CtrlVq, 0),
        (VirtioFeatures.Mq, VirtioFeatures.CtrlVq),
        (VirtioFeatures.GuestAnnounce, VirtioFeatures.CtrlVq),
        (VirtioFeatures.LogAll, VirtioFeatures.ProtocolFeatures),
        (VirtioFeatures.AccessPlatform, VirtioFeatures.ProtocolFeatures),
    ];

    /// <summary>Protocol features that HOCON can mask.</summary>
    internal static readonly ImmutableArray<ProtocolFeatures> Protocol =
    [
        ProtocolFeatures.Mq,
        ProtocolFeatures.LogShmfd,
        ProtocolFeatures.Rarp,
        ProtocolFeatures.ReplyAck,
        ProtocolFeatures.Mtu,
        ProtocolFeatures.BackendReq,
        ProtocolFeatures.Pagefault,
        ProtocolFeatures.Config,
        ProtocolFeatures.BackendSendFd,
        ProtocolFeatures.InflightShmfd,
        ProtocolFeatures.GetVringBaseInflight,
        ProtocolFeatures.ResetDevice,
        ProtocolFeatures.InbandNotifications,
        ProtocolFeatures.ConfigureMemSlots,
        ProtocolFeatures.Status,
        ProtocolFeatures.DeviceState,
        ProtocolFeatures.GpaAddresses,
    ];

    /// <summary>The names of all bits that are set, with a blank between them; an unknown bit by its number.</summary>
    public static string Describe(VirtioFeatures features) => Describe((ulong)features, bit => (VirtioFeatures)bit);

    /// <inheritdoc cref="Describe(VirtioFeatures)"/>
    public static string Describe(ProtocolFeatures features) => Describe((ulong)features, bit => (ProtocolFeatures)bit);

    /// <summary>The name of one feature.</summary>
    internal static string Name<T>(T feature)
        where T : struct, Enum => feature is VirtioFeatures.Version1 ? "version-1" : ValueForms.Text(feature);

    /// <summary>
    /// Takes away what depends on a feature that is not there (virtio 1.3 section 5.1.3.1), so that masking
    /// <c>csum</c> is enough to mask all that builds on it.
    /// </summary>
    internal static VirtioFeatures Closed(VirtioFeatures features)
    {
        // The table has each feature after those that it needs, so that one pass is enough.
        foreach ((VirtioFeatures feature, VirtioFeatures needs) in Device)
        {
            if (needs != 0 && (features & needs) == 0)
            {
                features &= ~feature;
            }
        }

        return features;
    }

    private static string Describe<T>(ulong bits, Func<ulong, T> of)
        where T : struct, Enum
    {
        var names = new List<string>();
        for (int bit = 0; bit < 64; bit++)
        {
            ulong mask = 1UL << bit;
            if ((bits & mask) != 0)
            {
                T feature = of(mask);
                names.Add(Enum.IsDefined(feature) ? Name(feature) : $"bit-{bit}");
            }
        }

        return names.Count == 0 ? "none" : string.Join(' ', names);
    }
}
