using System.Text.Json;
using Ringmaster.Bench.Compare.Measuring;

namespace Ringmaster.Bench.Compare.Report;

/// <summary>Everything that was measured, as it is kept beside table and plot.</summary>
internal sealed record ResultFile(Machine Machine, IReadOnlyList<string> Notes, IReadOnlyList<Sample> Samples)
{
    private static readonly JsonSerializerOptions Format = new()
    {
        WriteIndented = true,
        NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    /// <summary>The number of the next round.</summary>
    internal int NextRound => Samples.Select(sample => sample.Round).DefaultIfEmpty(-1).Max() + 1;

    internal int Rounds => Samples.Select(sample => sample.Round).Distinct().Count();

    /// <summary>Null where there is none.</summary>
    internal static ResultFile? Read(string path) =>
        File.Exists(path) ? JsonSerializer.Deserialize<ResultFile>(File.ReadAllText(path), Format) : null;

    internal void Write(string path) => File.WriteAllText(path, JsonSerializer.Serialize(this, Format) + "\n");
}
