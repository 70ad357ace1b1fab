using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Memory;

/// <summary>What rings see of the guest. Borrowed: the worker holds a reference to each while it lends them out.</summary>
/// <param name="Memory">The guest's memory.</param>
/// <param name="Log">Where writes to it are marked while the guest migrates, or null.</param>
/// <param name="LogCall">Signalled when something was marked, or null. The device owns it.</param>
/// <param name="Inflight">Where rings note which chains they return, or null.</param>
/// <param name="Iotlb">Translates addresses of rings and buffers, or null where they are the guest's and the front-end's.</param>
/// <param name="BufferAccess">What the device does with the buffers of a ring behind an IOMMU.</param>
internal readonly record struct GuestView(
    GuestMemory Memory,
    DirtyLog? Log,
    OwnedFd? LogCall = null,
    InflightRegion? Inflight = null,
    Iotlb? Iotlb = null,
    IotlbAccess BufferAccess = IotlbAccess.None);
