using System.Collections.Immutable;
using Akka.Actor;
using Ringmaster.Actors.Settings;

namespace Ringmaster.Actors.Backend;

/// <summary>
/// Bring up all devices. Answered by a <see cref="BackendStarted"/> once each of them is up or has failed for the first
/// time; those that failed go on trying. Like every answer here that waits for devices, it comes after 30 s at the latest,
/// and one that has come to nothing by then counts as failed.
/// </summary>
/// <param name="Devices">The devices.</param>
public sealed record StartDevices(ImmutableArray<DeviceSettings> Devices);

/// <summary>Answers <see cref="StartDevices"/>.</summary>
/// <param name="Outcomes">One for each device, by name.</param>
public sealed record BackendStarted(ImmutableArray<DeviceOutcome> Outcomes);

/// <summary>What became of a device.</summary>
/// <param name="Name">The device.</param>
/// <param name="Error">Null when all is well; else why not.</param>
public sealed record DeviceOutcome(string Name, string? Error = null);

/// <summary>
/// Add a device. Answered by a <see cref="DeviceOutcome"/> as soon as it is up or has failed for the first time.
/// </summary>
/// <param name="Settings">Its settings; the name must be free.</param>
public sealed record AddDevice(DeviceSettings Settings);

/// <summary>Remove a device. Answered by a <see cref="DeviceOutcome"/> when it has gone.</summary>
/// <param name="Name">The device.</param>
public sealed record RemoveDevice(string Name);

/// <summary>
/// Make the devices be those given: add, remove, and restart those whose settings differ (but for the MTU alone, which is
/// changed while the device serves); the others are not touched.
/// Answered by a <see cref="Reloaded"/>.
/// </summary>
/// <param name="Devices">The devices.</param>
public sealed record Reload(ImmutableArray<DeviceSettings> Devices);

/// <summary>Answers <see cref="Reload"/>.</summary>
/// <param name="Added">Names of new devices.</param>
/// <param name="Removed">Names of devices that have gone.</param>
/// <param name="Restarted">Names of devices whose settings differ.</param>
/// <param name="Outcomes">Of the devices that were added, removed, restarted or adjusted.</param>
public sealed record Reloaded(
    ImmutableArray<string> Added,
    ImmutableArray<string> Removed,
    ImmutableArray<string> Restarted,
    ImmutableArray<DeviceOutcome> Outcomes)
{
    /// <summary>Names of devices that took another MTU while they serve.</summary>
    public ImmutableArray<string> Adjusted { get; init; } = [];
}

/// <summary>Ask which devices there are. Answered by a <see cref="DeviceList"/>.</summary>
public sealed record GetDevices
{
    /// <summary>The only one.</summary>
    public static readonly GetDevices Instance = new();

    private GetDevices()
    {
    }
}

/// <summary>Answers <see cref="GetDevices"/>.</summary>
/// <param name="Devices">By name.</param>
public sealed record DeviceList(ImmutableArray<DeviceEntry> Devices);

/// <summary>One device, as the backend's supervisor knows it.</summary>
/// <param name="Name">The device.</param>
/// <param name="Supervisor">Its DeviceSupervisor, for further questions.</param>
/// <param name="Up">True when it listens or serves.</param>
/// <param name="Error">Why it is not up, or null.</param>
public sealed record DeviceEntry(string Name, IActorRef Supervisor, bool Up, string? Error);

/// <summary>Stop all devices, then the supervisor itself. Answered by a <see cref="BackendStopped"/>.</summary>
public sealed record StopBackend
{
    /// <summary>The only one.</summary>
    public static readonly StopBackend Instance = new();

    private StopBackend()
    {
    }
}

/// <summary>Answers <see cref="StopBackend"/>: no device is left.</summary>
public sealed record BackendStopped
{
    /// <summary>The only one.</summary>
    public static readonly BackendStopped Instance = new();

    private BackendStopped()
    {
    }
}
