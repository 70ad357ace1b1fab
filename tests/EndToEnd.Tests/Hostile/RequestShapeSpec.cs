using Ringmaster.Native.VhostUser;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>
/// No request is forgotten. What is served stands in docs/protocol.md, which is held against the code elsewhere; here the
/// hostile inputs are held against the document.
/// </summary>
public sealed class RequestShapeSpec
{
    private const int Number = 0;
    private const int LegalWhen = 4;
    private const string Acknowledged = " acknowledged";

    private static readonly string[][] Rows = [.. ReadRows()];

    [Fact]
    public void Every_request_that_is_served_has_hostile_shapes() =>
        Assert.Equal(Rows.Where(IsServed).Select(CodeOf), RequestShape.All.Keys.Order());

    [Fact]
    public void Every_request_that_is_not_served_is_tried_as_an_unknown_one() => Assert.Superset(
        Rows.Where(row => !IsServed(row)).Select(row => (uint)CodeOf(row)).ToHashSet(),
        ((IEnumerable<object[]>)RequestFormSpec.NotServed).Select(row => Assert.IsType<uint>(row[0])).ToHashSet());

    [Fact]
    public void Every_request_that_needs_a_feature_is_tried_without_it() => Assert.All(
        Rows.Where(IsServed), row => Assert.Equal(FeatureOf(row[LegalWhen]), FeatureOf(RequestShape.All[CodeOf(row)])));

    private static bool IsServed(string[] row) => row[LegalWhen] != "-";

    private static RequestCode CodeOf(string[] row) => (RequestCode)uint.Parse(row[Number]);

    /// <summary>LOG_SHMFD is LOGSHMFD here; empty where nothing has to be acknowledged.</summary>
    private static string FeatureOf(string legalWhen) => legalWhen.EndsWith(Acknowledged, StringComparison.Ordinal)
        ? legalWhen[..^Acknowledged.Length].Replace("_", "", StringComparison.Ordinal)
        : "";

    private static string FeatureOf(RequestShape shape) =>
        shape.BehindIommu ? "ACCESSPLATFORM" : shape.Needs == 0 ? "" : shape.Needs.ToString().ToUpperInvariant();

    private static IEnumerable<string[]> ReadRows()
    {
        string document = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "docs/protocol.md"));
        return document.Split("\n## Requests\n")[1].Split("\n## ")[0].Split('\n')
            .Where(line => line.StartsWith('|'))
            .Skip(2)
            .Select(line => line.Trim('|').Split('|').Select(cell => cell.Trim()).ToArray());
    }
}
