namespace Ringmaster.Native.VhostUser;

/// <summary>Protocol features, bit for bit as in the vhost-user specification ("Protocol features").</summary>
[Flags]
public enum ProtocolFeatures : ulong
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>More than one queue pair.</summary>
    Mq = 1UL << 0,

    /// <summary>The dirty log comes as a file descriptor.</summary>
    LogShmfd = 1UL << 1,

    /// <summary>SEND_RARP.</summary>
    Rarp = 1UL << 2,

    /// <summary>A reply to any message on demand.</summary>
    ReplyAck = 1UL << 3,

    /// <summary>NET_SET_MTU.</summary>
    Mtu = 1UL << 4,

    /// <summary>A socket for requests by the back-end.</summary>
    BackendReq = 1UL << 5,

    /// <summary>Rings of the other byte order.</summary>
    CrossEndian = 1UL << 6,

    /// <summary>Crypto sessions.</summary>
    CryptoSession = 1UL << 7,

    /// <summary>Post-copy live migration.</summary>
    Pagefault = 1UL << 8,

    /// <summary>GET_CONFIG and SET_CONFIG.</summary>
    Config = 1UL << 9,

    /// <summary>Back-end requests may carry fds.</summary>
    BackendSendFd = 1UL << 10,

    /// <summary>Host notifiers.</summary>
    HostNotifier = 1UL << 11,

    /// <summary>Tracking of descriptors in flight.</summary>
    InflightShmfd = 1UL << 12,

    /// <summary>RESET_DEVICE.</summary>
    ResetDevice = 1UL << 13,

    /// <summary>Kicks, calls and errors as messages.</summary>
    InbandNotifications = 1UL << 14,

    /// <summary>ADD_MEM_REG, REM_MEM_REG and GET_MAX_MEM_SLOTS.</summary>
    ConfigureMemSlots = 1UL << 15,

    /// <summary>SET_STATUS and GET_STATUS.</summary>
    Status = 1UL << 16,

    /// <summary>Xen mappings.</summary>
    XenMmap = 1UL << 17,

    /// <summary>Shared objects.</summary>
    SharedObject = 1UL << 18,

    /// <summary>Transfer of internal state.</summary>
    DeviceState = 1UL << 19,

    /// <summary>GET_VRING_BASE with descriptors in flight (2026).</summary>
    GetVringBaseInflight = 1UL << 20,

    /// <summary>Addresses are guest-physical (2026).</summary>
    GpaAddresses = 1UL << 21,

    /// <summary>Shared memory regions.</summary>
    Shmem = 1UL << 22,
}
