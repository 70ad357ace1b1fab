using System.Collections.Immutable;
using Akka.Configuration;

namespace Ringmaster.Actors.Settings;

/// <summary>Everything that one back-end process is told: the validated view of <c>ringmaster { }</c> in HOCON.</summary>
public sealed record BackendSettings
{
    /// <summary>The virtual cards, in order of name. At least one; names, sockets and TAP names are distinct.</summary>
    public required ImmutableArray<DeviceSettings> Devices { get; init; }

    /// <summary>What is logged, and how.</summary>
    public required LogSettings Log { get; init; }

    /// <summary>What the actor system is created with: <c>akka { }</c>, its log level taken from <see cref="Log"/>.</summary>
    public Config ActorSystem { get; init; } = Config.Empty;

    /// <summary>
    /// Reads and checks a configuration that has HOCON.conf as its last layer; no other place holds a default.
    /// </summary>
    /// <exception cref="SettingsException">Something in it is missing, unknown or not allowed; names all that is.</exception>
    public static BackendSettings Load(Config config) => BackendSettingsReader.Read(config);
}
