namespace Ringmaster.Native.Tap;

/// <summary>Which offloads the kernel's TAP takes together (set_offload in drivers/net/tun.c).</summary>
internal static class TapOffloadRules
{
    /// <summary>Smallest sets that each show one offload, or one pair of them, to be there.</summary>
    internal static readonly TapOffloads[] Probes =
    [
        TapOffloads.Csum,
        TapOffloads.Csum | TapOffloads.Tso4,
        TapOffloads.Csum | TapOffloads.Tso6,
        TapOffloads.Csum | TapOffloads.Tso4 | TapOffloads.Tso6 | TapOffloads.TsoEcn,
        TapOffloads.Csum | TapOffloads.Ufo,
        TapOffloads.Csum | TapOffloads.Uso4 | TapOffloads.Uso6,
    ];

    /// <summary>The largest part of a set that the kernel does not refuse.</summary>
    internal static TapOffloads Possible(TapOffloads wanted)
    {
        const TapOffloads Tso = TapOffloads.Tso4 | TapOffloads.Tso6;
        const TapOffloads Uso = TapOffloads.Uso4 | TapOffloads.Uso6;
        if (!wanted.HasFlag(TapOffloads.Csum))
        {
            return TapOffloads.None;
        }

        TapOffloads possible = wanted;
        possible &= (wanted & Tso) == 0 ? ~TapOffloads.TsoEcn : possible;
        possible &= wanted.HasFlag(Uso) ? possible : ~Uso;
        return possible;
    }
}
