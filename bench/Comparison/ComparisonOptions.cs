using Ringmaster.Bench.Compare.Contenders;
using Ringmaster.Bench.Compare.Measuring;

namespace Ringmaster.Bench.Compare;

/// <summary>What to compare, and how often.</summary>
internal sealed record ComparisonOptions
{
    internal required int Rounds { get; init; }

    internal Durations Durations { get; init; } = Durations.Full;

    /// <summary>Back-ends given on the command line.</summary>
    internal IReadOnlyList<Contender> Others { get; init; } = [];

    /// <summary>The C loop as a program, to be measured beside the C# one; null = it is not.</summary>
    internal string? BareC { get; init; }
}
