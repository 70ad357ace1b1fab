using Akka.Configuration;

namespace Ringmaster.Actors.Tests.Settings;

/// <summary>HOCON.conf as the executable ships it, and layers over it.</summary>
internal static class ReferenceConfiguration
{
    internal static string Text { get; } = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "HOCON.conf"));

    internal static Config Value { get; } = ConfigurationFactory.ParseString(Text);

    internal static Config With(string hocon) => ConfigurationFactory.ParseString(hocon).WithFallback(Value);
}
