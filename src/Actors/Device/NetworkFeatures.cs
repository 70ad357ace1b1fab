using Ringmaster.Native.Tap;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Device;

/// <summary>How virtio-net's feature bits and a TAP's offloads answer to each other.</summary>
internal static class NetworkFeatures
{
    private const VirtioFeatures GuestOffloads = VirtioFeatures.GuestTso4 | VirtioFeatures.GuestTso6 | VirtioFeatures.GuestEcn
        | VirtioFeatures.GuestUfo | VirtioFeatures.GuestUso4 | VirtioFeatures.GuestUso6;

    private const VirtioFeatures HostOffloads = VirtioFeatures.HostTso4 | VirtioFeatures.HostTso6 | VirtioFeatures.HostEcn
        | VirtioFeatures.HostUfo | VirtioFeatures.HostUso;

    private const TapOffloads Uso = TapOffloads.Uso4 | TapOffloads.Uso6;

    // Each TAP offload and the features, of either direction, that cannot do without it. A frame that the TAP cannot
    // take unsegmented from its own host it refuses from the guest as well.
    private static readonly (TapOffloads Needs, VirtioFeatures Features)[] Table =
    [
        (TapOffloads.Csum, VirtioFeatures.Csum | VirtioFeatures.GuestCsum | GuestOffloads | HostOffloads),
        (TapOffloads.Tso4, VirtioFeatures.GuestTso4 | VirtioFeatures.HostTso4),
        (TapOffloads.Tso6, VirtioFeatures.GuestTso6 | VirtioFeatures.HostTso6),
        (TapOffloads.TsoEcn, VirtioFeatures.GuestEcn | VirtioFeatures.HostEcn),
        (TapOffloads.Ufo, VirtioFeatures.GuestUfo | VirtioFeatures.HostUfo),
        (Uso, VirtioFeatures.GuestUso4 | VirtioFeatures.GuestUso6 | VirtioFeatures.HostUso),
    ];

    /// <summary>What can be offered on a TAP that has these offloads.</summary>
    internal static VirtioFeatures Offered(VirtioFeatures configured, TapOffloads supported)
    {
        foreach ((TapOffloads needs, VirtioFeatures features) in Table)
        {
            if ((supported & needs) != needs)
            {
                configured &= ~features;
            }
        }

        return configured;
    }

    /// <summary>What the TAP may leave undone for a guest that acknowledged these features.</summary>
    internal static TapOffloads Offloads(VirtioFeatures acknowledged)
    {
        if (!acknowledged.HasFlag(VirtioFeatures.GuestCsum))
        {
            return TapOffloads.None;
        }

        TapOffloads offloads = TapOffloads.Csum;
        offloads |= acknowledged.HasFlag(VirtioFeatures.GuestTso4) ? TapOffloads.Tso4 : 0;
        offloads |= acknowledged.HasFlag(VirtioFeatures.GuestTso6) ? TapOffloads.Tso6 : 0;
        offloads |= acknowledged.HasFlag(VirtioFeatures.GuestUfo) ? TapOffloads.Ufo : 0;
        bool tso = (offloads & (TapOffloads.Tso4 | TapOffloads.Tso6)) != 0;
        offloads |= tso && acknowledged.HasFlag(VirtioFeatures.GuestEcn) ? TapOffloads.TsoEcn : 0;

        // The kernel takes the two USO bits together or not at all.
        bool uso = acknowledged.HasFlag(VirtioFeatures.GuestUso4 | VirtioFeatures.GuestUso6);
        return uso ? offloads | Uso : offloads;
    }

    /// <summary>Bytes of the header before each frame: <c>num_buffers</c> is there with VERSION_1 or MRG_RXBUF only.</summary>
    internal static int HeaderSize(VirtioFeatures acknowledged) =>
        (acknowledged & (VirtioFeatures.Version1 | VirtioFeatures.MrgRxbuf)) != 0 ? 12 : 10;
}
