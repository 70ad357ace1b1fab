using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>One run of iperf3, by the client's JSON.</summary>
internal sealed record IperfResult(double BitsPerSecond, double LostPercent, long Datagrams)
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan ServerPatience = TimeSpan.FromSeconds(10);

    // The server takes one client at a time, and a moment to be done with the one before.
    private static readonly string[] NotReady =
    [
        "server is busy", "Connection refused", "unable to receive control message: Connection reset",
        "unable to send cookie to server", "control socket has closed unexpectedly",
    ];

    /// <summary>Runs the client in the host's namespace against the server in the guest.</summary>
    /// <param name="network">The namespace that the TAP is in.</param>
    /// <param name="guest">The guest's address.</param>
    /// <param name="arguments">
    /// Further arguments: <c>-R</c> for guest to host, <c>-u</c> for UDP, <c>-P 2</c> for two streams.
    /// </param>
    internal static async Task<IperfResult> RunAsync(TestNamespace network, string guest, params string[] arguments)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (true)
        {
            (string json, string? error) = await ClientAsync(network, guest, arguments);
            if (error is null)
            {
                return Parse(json);
            }

            Assert.True(SaysNotReady(error) && watch.Elapsed < ServerPatience, $"iperf3 {string.Join(' ', arguments)}: {error}");
        }
    }

    /// <summary>True for the words of a client that may be started again.</summary>
    internal static bool SaysNotReady(string words) =>
        NotReady.Any(answer => words.Contains(answer, StringComparison.Ordinal));

    private static async Task<(string Json, string? Error)> ClientAsync(TestNamespace network, string guest, string[] arguments)
    {
        await using ManagedProcess client = network.Start(
            "iperf3", "iperf3", ["--json", "--connect-timeout", "3000", "-t", "2", "-c", guest, .. arguments]);
        int exitCode = await client.ExitAsync(Timeout);
        using JsonDocument document = JsonDocument.Parse(client.Output);
        string? error = document.RootElement.TryGetProperty("error", out JsonElement reason) ? reason.GetString() : null;
        return (client.Output, error ?? (exitCode == 0 ? null : $"ended with {exitCode}"));
    }

    private static IperfResult Parse(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement end = document.RootElement.GetProperty("end");
        JsonElement sum = end.TryGetProperty("sum_received", out JsonElement received) ? received : end.GetProperty("sum");
        return new IperfResult(
            sum.GetProperty("bits_per_second").GetDouble(),
            Optional(end, "lost_percent"),
            (long)Optional(end, "packets"));
    }

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"{BitsPerSecond / 1e6:F0} Mbit/s, {LostPercent:F2} % of {Datagrams} datagrams lost");

    /// <summary>UDP's sums are under "sum"; TCP has none of these.</summary>
    private static double Optional(JsonElement end, string property) =>
        end.TryGetProperty("sum", out JsonElement sum) && sum.TryGetProperty(property, out JsonElement value)
            ? value.GetDouble()
            : 0;
}
