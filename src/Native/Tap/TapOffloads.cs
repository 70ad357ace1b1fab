namespace Ringmaster.Native.Tap;

/// <summary>
/// What a TAP may leave undone in the frames that it gives us (<c>TUNSETOFFLOAD</c>); the numbers are the kernel's.
/// </summary>
[Flags]
public enum TapOffloads
{
    /// <summary>Every frame is complete and no longer than the MTU.</summary>
    None = 0,

    /// <summary>Checksums may be partial (TUN_F_CSUM). Required by all others.</summary>
    Csum = 0x01,

    /// <summary>TCP over IPv4 may be unsegmented (TUN_F_TSO4).</summary>
    Tso4 = 0x02,

    /// <summary>TCP over IPv6 may be unsegmented (TUN_F_TSO6).</summary>
    Tso6 = 0x04,

    /// <summary>Unsegmented TCP may carry ECN (TUN_F_TSO_ECN).</summary>
    TsoEcn = 0x08,

    /// <summary>UDP may be unfragmented (TUN_F_UFO).</summary>
    Ufo = 0x10,

    /// <summary>UDP over IPv4 may be unsegmented (TUN_F_USO4, Linux 6.2).</summary>
    Uso4 = 0x20,

    /// <summary>UDP over IPv6 may be unsegmented (TUN_F_USO6, Linux 6.2).</summary>
    Uso6 = 0x40,
}
