using System.Collections.Immutable;
using Akka.Actor;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Settings;

namespace Ringmaster.Actors.Backend;

/// <summary>What the backend's supervisor knows of one device. Used by its actor alone.</summary>
internal sealed class DeviceRecord(DeviceSettings settings, ImmutableArray<int?> cpus)
{
    /// <summary>As they are wanted. A change of the MTU may be under way.</summary>
    internal DeviceSettings Settings { get; set; } = settings;

    /// <summary>The configured MTU that the device is known to have.</summary>
    internal int? Mtu { get; set; }

    internal ImmutableArray<int?> Cpus { get; } = cpus;

    internal IActorRef Actor { get; set; } = ActorRefs.Nobody;

    internal bool Up { get; set; }

    internal string? Error { get; set; }

    internal bool Leaving { get; set; }

    internal DeviceSettings? Successor { get; set; }

    private int Crashes { get; set; }

    private TimeSpan LastCrash { get; set; }

    /// <summary>Later each time, unless the device has done well for a whole window.</summary>
    internal TimeSpan NextRestart(TimeSpan now)
    {
        Crashes = now - LastCrash > Settings.Restart.Window ? 1 : Crashes + 1;
        LastCrash = now;
        return Backoff.ForEver(Settings.Restart, Crashes);
    }
}
