using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Tests.Support;

/// <summary>
/// What some tests need and not every machine gives. Missing, the test is skipped with a word on how to get it; with
/// RINGMASTER_REQUIRE_ALL=1 it fails instead, so that nothing is skipped unnoticed where all must run.
/// </summary>
internal static class Requirement
{
    private static readonly Lazy<string?> NamespaceError = new(TryNamespace);

    private static bool AllRequired => Environment.GetEnvironmentVariable("RINGMASTER_REQUIRE_ALL") == "1";

    /// <summary>The right to make network namespaces and TAP interfaces in them.</summary>
    internal static void NetworkNamespaces() => Demand(
        HasNetworkNamespaces,
        $"making a network namespace with a TAP failed: {NamespaceError.Value}. Run as root, or: unshare -Ur dotnet test");

    /// <summary>True where <see cref="NetworkNamespaces"/> lets a test run.</summary>
    internal static bool HasNetworkNamespaces => NamespaceError.Value is null;

    /// <summary>A C compiler with the kernel's headers.</summary>
    internal static void Compiler() => Program("gcc", "apt-get install gcc linux-libc-dev");

    /// <summary>A program on the PATH.</summary>
    /// <param name="name">The program.</param>
    /// <param name="install">The command that installs it.</param>
    internal static void Program(string name, string install)
    {
        string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
        Demand(folders.Any(folder => File.Exists(Path.Combine(folder, name))), $"there is no {name}: {install}");
    }

    /// <summary>Skips the test, or fails it where all is required.</summary>
    /// <param name="met">The requirement is met.</param>
    /// <param name="reason">What is missing and how to get it.</param>
    internal static void Demand(bool met, string reason)
    {
        Assert.True(met || !AllRequired, reason);
        Skip.IfNot(met, reason);
    }

    private static string? TryNamespace()
    {
        try
        {
            using var net = new TemporaryNetwork();
            using OwnedFd device = net.Run(Native.Tap.TunDevice.Open);
            return null;
        }
        catch (LinuxException e)
        {
            return e.Message;
        }
    }
}
