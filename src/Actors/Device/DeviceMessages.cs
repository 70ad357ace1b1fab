using System.Collections.Immutable;
using Ringmaster.Actors.Protocol;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Device;

/// <summary>To the parent: the device is open and waits for a front-end.</summary>
/// <param name="Name">The device.</param>
public sealed record DeviceUp(string Name);

/// <summary>To the parent: the device could not be opened; it tries again.</summary>
/// <param name="Name">The device.</param>
/// <param name="Reason">For the operator.</param>
public sealed record DeviceFailed(string Name, string Reason);

/// <summary>To the parent: the only connection that the device was given has ended; nobody can connect any more.</summary>
/// <param name="Name">The device.</param>
public sealed record DeviceFinished(string Name);

/// <summary>To the parent: what <see cref="ChangeMtu"/> asked for was done, or not.</summary>
/// <param name="Name">The device.</param>
/// <param name="Mtu">What was asked for.</param>
/// <param name="Error">Null when all is well; else why not.</param>
public sealed record DeviceAdjusted(string Name, int Mtu, string? Error);

/// <summary>
/// Change the configured MTU while the device runs: of the TAP, and of the configuration space of a connected front-end, which
/// is told. The parent gets a <see cref="DeviceAdjusted"/>.
/// </summary>
/// <param name="Mtu">68 to 65535.</param>
public sealed record ChangeMtu(int Mtu);

/// <summary>
/// Hold the guest's link down, whatever the host's side is like, or let it follow the host's side again. Holds across
/// front-ends until the device is made anew; to let it follow also ends what a front-end has loaded. Answered by a
/// <see cref="LinkSet"/>.
/// </summary>
/// <param name="Up">False: down. True: as the host's side.</param>
public sealed record SetLink(bool Up);

/// <summary>Answers <see cref="SetLink"/>.</summary>
/// <param name="Name">The device.</param>
/// <param name="Up">What the guest sees now.</param>
public sealed record LinkSet(string Name, bool Up);

/// <summary>Stop the device: the front-end is cut off, workers end, the host's side is released; the actor stops.</summary>
public sealed record StopDevice
{
    /// <summary>The only one.</summary>
    public static readonly StopDevice Instance = new();

    private StopDevice()
    {
    }
}

/// <summary>Ask for the workers. Answered by a <see cref="WorkerList"/>.</summary>
public sealed record GetWorkers
{
    /// <summary>The only one.</summary>
    public static readonly GetWorkers Instance = new();

    private GetWorkers()
    {
    }
}

/// <summary>Answers <see cref="GetWorkers"/>.</summary>
/// <param name="Device">The device.</param>
/// <param name="Workers">One for each pair, in order; empty while the device is not open.</param>
public sealed record WorkerList(string Device, ImmutableArray<WorkerHandle> Workers);

/// <summary>Ask how the device fares. Answered by a <see cref="DeviceSnapshot"/>.</summary>
public sealed record GetDeviceStatus
{
    /// <summary>The only one.</summary>
    public static readonly GetDeviceStatus Instance = new();

    private GetDeviceStatus()
    {
    }
}

/// <summary>What a device is doing.</summary>
public enum DevicePhase
{
    /// <summary>The host's side and the socket are being opened.</summary>
    Opening,

    /// <summary>Opening failed; it is tried again after a while.</summary>
    Failed,

    /// <summary>Nobody is connected.</summary>
    Listening,

    /// <summary>Client mode: nobody is connected; the front-end's socket is tried again and again.</summary>
    Connecting,

    /// <summary>A front-end is served.</summary>
    Serving,

    /// <summary>The front-end has gone; its rings are being stopped.</summary>
    Closing,

    /// <summary>The only connection that the device was given has ended.</summary>
    Finished,

    /// <summary>The device is being stopped.</summary>
    Stopping,
}

/// <summary>Answers <see cref="GetDeviceStatus"/>.</summary>
/// <param name="Name">The device.</param>
/// <param name="Phase">What it is doing.</param>
/// <param name="Features">Acknowledged by the front-end.</param>
/// <param name="ProtocolFeatures">Acknowledged by the front-end.</param>
/// <param name="Status">The virtio device status as SET_STATUS last said, with DEVICE_NEEDS_RESET where it applies.</param>
/// <param name="MemoryRegions">Regions of guest memory mapped.</param>
/// <param name="Sessions">Front-ends served since the device came up, the present one included.</param>
/// <param name="Pairs">One for each pair, in order.</param>
/// <param name="Error">What last went wrong in opening the device, or in reaching its front-end; else null.</param>
public sealed record DeviceSnapshot(
    string Name,
    DevicePhase Phase,
    VirtioFeatures Features,
    ProtocolFeatures ProtocolFeatures,
    DeviceStatus Status,
    int MemoryRegions,
    long Sessions,
    ImmutableArray<PairStatus> Pairs,
    string? Error)
{
    /// <summary>Whether the guest's link is up: the host's side is, and nobody holds it down.</summary>
    public bool LinkUp { get; init; }
}

/// <summary>How one pair fares.</summary>
/// <param name="Pair">Its number.</param>
/// <param name="Health">How its worker fares.</param>
/// <param name="Generation">Counts its workers.</param>
/// <param name="Cpu">The CPU that its worker is pinned to, or null.</param>
/// <param name="Failures">Workers that failed since the device came up.</param>
/// <param name="LastFailure">Why the last one failed, or null.</param>
/// <param name="Rx">The receive ring.</param>
/// <param name="Tx">The transmit ring.</param>
public sealed record PairStatus(
    int Pair,
    PairHealth Health,
    long Generation,
    int? Cpu,
    int Failures,
    string? LastFailure,
    RingActivity Rx,
    RingActivity Tx);

/// <summary>What a ring does.</summary>
public enum RingActivity
{
    /// <summary>The front-end has not started it, or its pair has no worker.</summary>
    Stopped,

    /// <summary>Started, but disabled.</summary>
    Disabled,

    /// <summary>It moves frames.</summary>
    Running,

    /// <summary>Given up because its own structure is broken; runs again when the front-end starts it again.</summary>
    Broken,
}

/// <summary>Make a pair's worker fail, as if its own code had thrown. For the demo and for tests.</summary>
/// <param name="Pair">The pair.</param>
/// <param name="Reason">Stands in the log.</param>
public sealed record InjectWorkerFault(int Pair, string Reason);

/// <summary>Answers an <see cref="InjectWorkerFault"/>.</summary>
/// <param name="Pair">The pair.</param>
/// <param name="Posted">False when there is no such pair, or it has no worker at present.</param>
public sealed record WorkerFaultInjected(int Pair, bool Posted);
