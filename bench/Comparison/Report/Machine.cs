using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace Ringmaster.Bench.Compare.Report;

/// <summary>Where and with what it was measured.</summary>
/// <param name="Cpu">The CPU's model name.</param>
/// <param name="Cores">How many there are.</param>
/// <param name="Kernel">The kernel's release.</param>
/// <param name="Runtime">The .NET runtime.</param>
/// <param name="Ringmaster">Ringmaster's version, and the commit where there is one.</param>
/// <param name="Dpdk">DPDK's version; null where it is not installed.</param>
/// <param name="Date">The day.</param>
internal sealed record Machine(string Cpu, int Cores, string Kernel, string Runtime, string Ringmaster, string? Dpdk, string Date)
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    internal static async Task<Machine> ReadAsync() => new(
        Model(),
        Environment.ProcessorCount,
        (await File.ReadAllTextAsync("/proc/sys/kernel/osrelease")).Trim(),
        RuntimeInformation.FrameworkDescription,
        await RingmasterAsync(),
        await DpdkAsync(),
        DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture));

    private static string Model() => File.ReadLines("/proc/cpuinfo")
        .Where(line => line.StartsWith("model name", StringComparison.Ordinal))
        .Select(line => line[(line.IndexOf(':') + 1)..].Trim())
        .FirstOrDefault(RuntimeInformation.ProcessArchitecture.ToString());

    private static async Task<string> RingmasterAsync() =>
        (await ManagedProcess.RunAsync(Timeout, RingmasterProcess.Executable, "--version")).Trim();

    private static async Task<string?> DpdkAsync()
    {
        if (Require.FindProgram("dpdk-testpmd") is null || Require.FindProgram("dpkg-query") is null)
        {
            return null;
        }

        string text = await ManagedProcess.RunAsync(Timeout, "dpkg-query", "-W", "-f", "${Version}", "dpdk-dev");
        return Regex.Match(text, @"^[\d.]+").Value;
    }
}
