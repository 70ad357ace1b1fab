using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Driver.Load;

namespace Ringmaster.Host.Commands;

/// <summary>What <c>ringmaster drive</c> prints.</summary>
internal static class DriveReport
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>For people.</summary>
    internal static string Text(VirtioNetDriver driver, LoadResult result)
    {
        var text = new StringBuilder();
        void Line(string name, FormattableString value) =>
            text.AppendLine(CultureInfo.InvariantCulture, $"{name,-11} {value.ToString(CultureInfo.InvariantCulture)}");

        int ring = driver.Pairs[0].Tx.Size;
        Line("mode", $"{Name(result.Mode)}, pairs {result.Pairs}, rings of {ring}, frames of {result.FrameSize} bytes");
        Line("measured", $"{result.Seconds:F1} s");
        Line("features", $"{driver.Features}");
        Line("frames/s", $"{result.FramesPerSecond:N0} (sent {result.Sent:N0}, received {result.Received:N0})");
        Line("bits/s", $"{result.BitsPerSecond:N0}");
        if (result.Lost is { } lost)
        {
            Line("lost", $"{lost:N0} of {result.Sent:N0}");
        }

        if (result.RoundTrip is { } trip && result.Received > 0)
        {
            Line("round trip", $"p50 {trip.Median:F1} us, p90 {trip.P90:F1} us, p99 {trip.P99:F1} us");
            Line("", $"p99.9 {trip.P999:F1} us, longest {trip.Maximum:F1} us");
        }

        return text.ToString().TrimEnd();
    }

    /// <summary>For programs.</summary>
    internal static string Json(VirtioNetDriver driver, LoadResult result)
    {
        var json = new JsonObject
        {
            ["mode"] = Name(result.Mode),
            ["pairs"] = result.Pairs,
            ["queueSize"] = driver.Pairs[0].Tx.Size,
            ["frameSize"] = result.FrameSize,
            ["features"] = new JsonArray([.. driver.Features.ToString().Split(", ").Select(name => JsonValue.Create(name))]),
            ["seconds"] = Math.Round(result.Seconds, 3),
            ["sent"] = result.Sent,
            ["received"] = result.Received,
            ["framesPerSecond"] = Math.Round(result.FramesPerSecond),
            ["bitsPerSecond"] = Math.Round(result.BitsPerSecond),
        };
        if (result.Lost is { } lost)
        {
            json["lost"] = lost;
        }

        if (result.RoundTrip is { } trip && result.Received > 0)
        {
            json["roundTripMicroseconds"] = new JsonObject
            {
                ["p50"] = Math.Round(trip.Median, 2),
                ["p90"] = Math.Round(trip.P90, 2),
                ["p99"] = Math.Round(trip.P99, 2),
                ["p99.9"] = Math.Round(trip.P999, 2),
                ["max"] = Math.Round(trip.Maximum, 2),
            };
        }

        return json.ToJsonString(Indented);
    }

    private static string Name(LoadMode mode) => mode switch
    {
        LoadMode.Tx => "tx",
        LoadMode.Rx => "rx",
        _ => "echo",
    };
}
