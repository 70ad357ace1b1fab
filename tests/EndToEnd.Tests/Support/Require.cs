namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// What a test needs from the machine. Missing, the test is skipped with the reason and the remedy; with
/// <c>RINGMASTER_REQUIRE_ALL=1</c> (as in CI) it fails instead, so that nothing is left out unseen.
/// </summary>
internal static class Require
{
    private static readonly bool Everything = Environment.GetEnvironmentVariable("RINGMASTER_REQUIRE_ALL") == "1";

    /// <summary>Network namespaces and TAP interfaces need root.</summary>
    internal static void Root()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            Missing("network namespaces and TAP interfaces need root: run as root, for example `sudo -E dotnet test`");
        }

        Program("ip", "iproute2");
        Present(File.Exists("/dev/net/tun"), "/dev/net/tun is missing: `modprobe tun`");
    }

    /// <summary>A program on PATH (or in the sbin folders), from a Debian package.</summary>
    internal static void Program(string name, string package) =>
        Present(FindProgram(name) is not null, $"the program {name} is missing: `apt-get install {package}`");

    internal static void Present(bool present, string reason)
    {
        if (!present)
        {
            Missing(reason);
        }
    }

    /// <summary>The path of a program, or null.</summary>
    internal static string? FindProgram(string name) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Concat(["/usr/local/sbin", "/usr/sbin", "/sbin"])
            .Where(folder => folder.Length > 0)
            .Select(folder => Path.Combine(folder, name))
            .FirstOrDefault(File.Exists);

    private static void Missing(string reason)
    {
        if (Everything)
        {
            Assert.Fail($"RINGMASTER_REQUIRE_ALL=1, and {reason}");
        }

        Skip.If(true, reason);
    }
}
