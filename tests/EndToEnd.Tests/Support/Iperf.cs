using System.Globalization;
using System.Text.Json;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>One run of iperf3, by the client's JSON.</summary>
internal sealed record IperfResult(double BitsPerSecond, double LostPercent, long Datagrams)
{
    /// <summary>Runs the client in the host's namespace against the server in the guest.</summary>
    /// <param name="network">The namespace that the TAP is in.</param>
    /// <param name="guest">The guest's address.</param>
    /// <param name="arguments">Further arguments: <c>-R</c> for guest to host, <c>-u</c> for UDP, <c>-P 2</c> for two streams.</param>
    internal static async Task<IperfResult> RunAsync(TestNamespace network, string guest, params string[] arguments)
    {
        string json = await network.RunAsync(
            TimeSpan.FromSeconds(30), "iperf3", ["--json", "--connect-timeout", "3000", "-t", "2", "-c", guest, .. arguments]);
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement end = document.RootElement.GetProperty("end");
        JsonElement sum = end.TryGetProperty("sum_received", out JsonElement received) ? received : end.GetProperty("sum");
        return new IperfResult(
            sum.GetProperty("bits_per_second").GetDouble(),
            Optional(end, "lost_percent"),
            (long)Optional(end, "packets"));
    }

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{BitsPerSecond / 1e6:F0} Mbit/s, {LostPercent:F2} % of {Datagrams} datagrams lost");

    /// <summary>UDP's sums are under "sum"; TCP has none of these.</summary>
    private static double Optional(JsonElement end, string property) =>
        end.TryGetProperty("sum", out JsonElement sum) && sum.TryGetProperty(property, out JsonElement value) ? value.GetDouble() : 0;
}
