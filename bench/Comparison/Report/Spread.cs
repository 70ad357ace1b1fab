namespace Ringmaster.Bench.Compare.Report;

/// <summary>What several rounds gave: the middle and the ends.</summary>
internal readonly record struct Spread(double Median, double Min, double Max)
{
    /// <summary>The middle without the ends.</summary>
    internal Spread MedianAlone => new(Median, Median, Median);

    /// <summary>Null without numbers.</summary>
    internal static Spread? Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Where(double.IsFinite).Order()];
        return sorted.Length == 0
            ? null
            : new Spread((sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2, sorted[0], sorted[^1]);
    }
}
