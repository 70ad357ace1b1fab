namespace Ringmaster.Native.Virtio;

/// <summary>
/// Device features: virtio 1.3 section 6 (ring and transport), section 5.1.3 (network), and the bits that vhost-user
/// claims for itself (26 and 30).
/// </summary>
[Flags]
public enum VirtioFeatures : ulong
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Frames from the guest may need their checksum completed.</summary>
    Csum = 1UL << 0,

    /// <summary>The guest takes frames with partial checksums.</summary>
    GuestCsum = 1UL << 1,

    /// <summary>The guest changes its offloads over the control queue.</summary>
    CtrlGuestOffloads = 1UL << 2,

    /// <summary>The configuration space holds the MTU.</summary>
    Mtu = 1UL << 3,

    /// <summary>The configuration space holds the MAC.</summary>
    Mac = 1UL << 5,

    /// <summary>The guest takes TSO over IPv4.</summary>
    GuestTso4 = 1UL << 7,

    /// <summary>The guest takes TSO over IPv6.</summary>
    GuestTso6 = 1UL << 8,

    /// <summary>The guest takes TSO with ECN.</summary>
    GuestEcn = 1UL << 9,

    /// <summary>The guest takes UFO.</summary>
    GuestUfo = 1UL << 10,

    /// <summary>The device takes TSO over IPv4.</summary>
    HostTso4 = 1UL << 11,

    /// <summary>The device takes TSO over IPv6.</summary>
    HostTso6 = 1UL << 12,

    /// <summary>The device takes TSO with ECN.</summary>
    HostEcn = 1UL << 13,

    /// <summary>The device takes UFO.</summary>
    HostUfo = 1UL << 14,

    /// <summary>A received frame may span buffers.</summary>
    MrgRxbuf = 1UL << 15,

    /// <summary>The configuration space holds the link status.</summary>
    Status = 1UL << 16,

    /// <summary>A control queue (served by the VMM for vhost-user).</summary>
    CtrlVq = 1UL << 17,

    /// <summary>Receive modes over the control queue.</summary>
    CtrlRx = 1UL << 18,

    /// <summary>VLAN filters over the control queue.</summary>
    CtrlVlan = 1UL << 19,

    /// <summary>The guest can announce itself.</summary>
    GuestAnnounce = 1UL << 21,

    /// <summary>More than one queue pair.</summary>
    Mq = 1UL << 22,

    /// <summary>The MAC is set over the control queue.</summary>
    CtrlMacAddr = 1UL << 23,

    /// <summary>VHOST_F_LOG_ALL: every write to guest memory is logged.</summary>
    LogAll = 1UL << 26,

    /// <summary>Legacy: descriptors may be laid out in any way.</summary>
    AnyLayout = 1UL << 27,

    /// <summary>Indirect descriptor tables.</summary>
    IndirectDesc = 1UL << 28,

    /// <summary>Notification suppression by index.</summary>
    EventIdx = 1UL << 29,

    /// <summary>VHOST_USER_F_PROTOCOL_FEATURES.</summary>
    ProtocolFeatures = 1UL << 30,

    /// <summary>Virtio 1.0 and later.</summary>
    Version1 = 1UL << 32,

    /// <summary>Addresses are translated by the platform (IOMMU).</summary>
    AccessPlatform = 1UL << 33,

    /// <summary>Packed virtqueues.</summary>
    RingPacked = 1UL << 34,

    /// <summary>Buffers are used in the order in which they were made available.</summary>
    InOrder = 1UL << 35,

    /// <summary>Memory accesses are ordered by the platform.</summary>
    OrderPlatform = 1UL << 36,

    /// <summary>Kicks carry the position.</summary>
    NotificationData = 1UL << 38,

    /// <summary>A single ring can be reset.</summary>
    RingReset = 1UL << 40,

    /// <summary>The guest takes USO over IPv4.</summary>
    GuestUso4 = 1UL << 54,

    /// <summary>The guest takes USO over IPv6.</summary>
    GuestUso6 = 1UL << 55,

    /// <summary>The device takes USO.</summary>
    HostUso = 1UL << 56,
}
