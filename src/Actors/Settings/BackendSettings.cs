using System.Collections.Immutable;

namespace Ringmaster.Actors.Settings;

/// <summary>Everything that one back-end process is told: the validated view of <c>ringmaster { }</c> in HOCON.</summary>
public sealed record BackendSettings
{
    /// <summary>The virtual cards, in order of name. At least one; names, sockets and TAP names are distinct.</summary>
    public required ImmutableArray<DeviceSettings> Devices { get; init; }

    /// <summary>What is logged, and how.</summary>
    public required LogSettings Log { get; init; }
}
