using System.Reflection;

namespace Ringmaster.Host;

/// <summary>What this build is.</summary>
internal static class Product
{
    /// <summary>The version, with the source revision after a '+' where the build knew it.</summary>
    internal static string Version { get; } =
        typeof(Product).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;
}
