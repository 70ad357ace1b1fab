namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// What is needed from the machine. What happens without it is each program's own affair (<c>Missing</c>): tests are
/// skipped, the comparison of back-ends leaves out what it cannot run.
/// </summary>
internal static partial class Require
{
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

    private static partial void Missing(string reason);
}
