using System.Numerics;
using System.Text.RegularExpressions;
using Ringmaster.Actors.Protocol;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>docs/protocol.md says what the code does, row by row and number by number.</summary>
public sealed partial class ProtocolDocumentSpec
{
    private const string Path = "docs/protocol.md";

    [Fact]
    public void Every_request_stands_in_the_document_as_in_the_table()
    {
        string[][] expected = [.. Enum.GetValues<RequestCode>().Select(Cells)];

        Assert.Equal(expected, Table("Requests").Select(row => row[..^1]));
    }

    [Fact]
    public void A_request_is_called_refused_exactly_when_it_has_no_row()
    {
        foreach (string[] row in Table("Requests"))
        {
            bool refused = row[^1].StartsWith("Refused: ", StringComparison.Ordinal);
            Assert.Equal(RequestTable.Find(uint.Parse(row[0])) is null, refused);
        }
    }

    [Fact]
    public void Every_request_by_the_back_end_stands_in_the_document() =>
        Assert.Equal(
            Enum.GetValues<BackendRequestCode>().Select(code => new[] { ((uint)code).ToString(), SpecName(code) }),
            Table("Requests by the back-end").Select(row => row[..^1]));

    [Fact]
    public void Every_protocol_feature_stands_in_the_document() =>
        Assert.Equal(
            Enum.GetValues<ProtocolFeatures>()
                .Where(bit => bit != 0)
                .Select(bit => Cells(bit, (ulong)bit, VhostUserSession.SupportedProtocolFeatures.HasFlag(bit))),
            Table("Protocol features").Select(row => row[..^1]));

    [Fact]
    public void Every_device_feature_stands_in_the_document() =>
        Assert.Equal(
            Enum.GetValues<VirtioFeatures>()
                .Where(bit => bit != 0)
                .Select(bit => Cells(bit, (ulong)bit, VhostUserSession.SupportedFeatures.HasFlag(bit))),
            Table("Device features").Select(row => row[..^1]));

    [Fact]
    public void No_row_leaves_out_what_Ringmaster_does() =>
        Assert.All(
            new[] { "Requests", "Requests by the back-end", "Protocol features", "Device features" }.SelectMany(Table),
            row => Assert.False(string.IsNullOrWhiteSpace(row[^1])));

    private static string[] Cells(RequestCode code)
    {
        string number = ((uint)code).ToString();
        if (RequestTable.Find((uint)code) is not { } row)
        {
            return [number, SpecName(code), "-", "-", "-", "-", "-"];
        }

        string reply = row.HasReply ? "own" : "on demand";
        return [number, SpecName(code), $"{row.Payload}", $"{row.Fds}", Legal(row), Rings(row.Quiet), reply];
    }

    private static string[] Cells<T>(T feature, ulong bit, bool offered)
        where T : struct, Enum =>
        [BitOperations.TrailingZeroCount(bit).ToString(), SpecName(feature), offered ? "yes" : "no"];

    private static string Legal(RequestRow row) => row.Gate switch
    {
        Gate.Open => "always",
        Gate.Extension => "PROTOCOL_FEATURES offered",
        Gate.Offered => $"{SpecName(row.Feature)} offered",
        Gate.Acknowledged => $"{SpecName(row.Feature)} acknowledged",
        Gate.AccessPlatform => "ACCESS_PLATFORM acknowledged",
        _ => throw new ArgumentOutOfRangeException(nameof(row)),
    };

    private static string Rings(Quiet quiet) => quiet switch
    {
        Quiet.None => "run on",
        Quiet.Ring => "refused while it runs",
        Quiet.AllStopped => "refused while any is started",
        Quiet.StopsRing => "stops one",
        Quiet.StopsAll => "stops all",
        Quiet.Fence => "run on, fenced",
        _ => throw new ArgumentOutOfRangeException(nameof(quiet)),
    };

    // SetVringNum is SET_VRING_NUM, GuestTso4 is GUEST_TSO4, Version1 is VERSION_1.
    private static string SpecName<T>(T value)
        where T : struct, Enum =>
        value is VirtioFeatures.Version1 ? "VERSION_1" : WordStart().Replace(value.ToString(), "_").ToUpperInvariant();

    private static string[][] Table(string heading)
    {
        string document = File.ReadAllText(System.IO.Path.Combine(AppContext.BaseDirectory, Path));
        string section = document.Split($"\n## {heading}\n")[1].Split("\n## ")[0];
        return
        [
            .. section.Split('\n')
                .Where(line => line.StartsWith('|'))
                .Skip(2)
                .Select(line => line.Trim('|').Split('|').Select(cell => cell.Trim()).ToArray()),
        ];
    }

    [GeneratedRegex("(?<=[a-z0-9])(?=[A-Z])")]
    private static partial Regex WordStart();
}
