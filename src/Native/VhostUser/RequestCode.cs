namespace Ringmaster.Native.VhostUser;

/// <summary>
/// Front-end requests, with the numbers of the vhost-user specification ("Front-end message types").
/// Numbers 26, 27, 33, 41 and 44 belong to other kinds of device or are never offered; they stand here so that a
/// refusal can name them.
/// </summary>
public enum RequestCode : uint
{
    /// <summary>Asks for the device features (u64).</summary>
    GetFeatures = 1,

    /// <summary>Sets the acknowledged device features (u64).</summary>
    SetFeatures = 2,

    /// <summary>Opens the session.</summary>
    SetOwner = 3,

    /// <summary>Deprecated: disables all rings.</summary>
    ResetOwner = 4,

    /// <summary>Replaces the whole memory table; at most 8 regions, one fd each.</summary>
    SetMemTable = 5,

    /// <summary>Sets the dirty log (size and offset, one fd).</summary>
    SetLogBase = 6,

    /// <summary>Sets an eventfd to signal when the log was written.</summary>
    SetLogFd = 7,

    /// <summary>Sets a ring's size.</summary>
    SetVringNum = 8,

    /// <summary>Sets a ring's addresses.</summary>
    SetVringAddr = 9,

    /// <summary>Sets the index from which a ring goes on.</summary>
    SetVringBase = 10,

    /// <summary>Stops a ring and asks for its index.</summary>
    GetVringBase = 11,

    /// <summary>Passes the fd that the driver's kicks come through; starts the ring.</summary>
    SetVringKick = 12,

    /// <summary>Passes the fd for calls to the driver.</summary>
    SetVringCall = 13,

    /// <summary>Passes the fd for ring errors.</summary>
    SetVringErr = 14,

    /// <summary>Asks for the protocol features (u64).</summary>
    GetProtocolFeatures = 15,

    /// <summary>Sets the acknowledged protocol features (u64).</summary>
    SetProtocolFeatures = 16,

    /// <summary>Asks for the greatest number of queues (u64).</summary>
    GetQueueNum = 17,

    /// <summary>Enables or disables a ring.</summary>
    SetVringEnable = 18,

    /// <summary>Asks the back-end to announce a MAC address by RARP (u64, six bytes used).</summary>
    SendRarp = 19,

    /// <summary>Tells the MTU (u64).</summary>
    NetSetMtu = 20,

    /// <summary>Passes the socket for requests by the back-end.</summary>
    SetBackendReqFd = 21,

    /// <summary>An IOTLB update or invalidation.</summary>
    IotlbMsg = 22,

    /// <summary>Sets the byte order of a ring.</summary>
    SetVringEndian = 23,

    /// <summary>Reads the device's configuration space.</summary>
    GetConfig = 24,

    /// <summary>Writes the device's configuration space.</summary>
    SetConfig = 25,

    /// <summary>Opens a crypto session.</summary>
    CreateCryptoSession = 26,

    /// <summary>Closes a crypto session.</summary>
    CloseCryptoSession = 27,

    /// <summary>Asks for a userfaultfd.</summary>
    PostcopyAdvise = 28,

    /// <summary>Switches to post-copy.</summary>
    PostcopyListen = 29,

    /// <summary>Ends post-copy.</summary>
    PostcopyEnd = 30,

    /// <summary>Asks for a buffer that tracks descriptors in flight.</summary>
    GetInflightFd = 31,

    /// <summary>Hands such a buffer back.</summary>
    SetInflightFd = 32,

    /// <summary>Passes a GPU socket.</summary>
    GpuSetSocket = 33,

    /// <summary>Resets the device: all rings stop, all acknowledged state goes.</summary>
    ResetDevice = 34,

    /// <summary>A kick by message instead of by fd.</summary>
    VringKick = 35,

    /// <summary>Asks how many memory regions are supported (u64).</summary>
    GetMaxMemSlots = 36,

    /// <summary>Adds one memory region (one fd).</summary>
    AddMemReg = 37,

    /// <summary>Removes one memory region.</summary>
    RemMemReg = 38,

    /// <summary>Sets the virtio device status (u64).</summary>
    SetStatus = 39,

    /// <summary>Asks for the virtio device status (u64).</summary>
    GetStatus = 40,

    /// <summary>Asks for a shared object by UUID.</summary>
    GetSharedObject = 41,

    /// <summary>Begins a transfer of internal state (one fd).</summary>
    SetDeviceStateFd = 42,

    /// <summary>Asks whether the transfer of internal state went well.</summary>
    CheckDeviceState = 43,

    /// <summary>Asks for the shared memory regions of a device.</summary>
    GetShmemConfig = 44,
}
