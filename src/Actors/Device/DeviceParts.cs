using Ringmaster.Actors.QueuePair;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Linux;

namespace Ringmaster.Actors.Device;

/// <summary>What the devices of one back-end share, and the seams that tests use.</summary>
/// <param name="Loop">Tells when control sockets can be read. Owned by the back-end.</param>
/// <param name="Workers">Starts worker threads.</param>
/// <param name="Kinds">Makes the part of a device that is particular to its kind; nothing is opened yet.</param>
/// <param name="InheritedSockets">
/// Sockets that the process was started with, by number (<c>--fd=N</c>). Owned by the back-end; a device uses a
/// duplicate, so that it can be restarted.
/// </param>
public sealed record DeviceParts(
    ReadinessLoop Loop,
    WorkerFactory Workers,
    Func<DeviceSettings, IDeviceKind> Kinds,
    IReadOnlyDictionary<int, OwnedFd> InheritedSockets);
