namespace Ringmaster.EndToEnd.Tests.Matrix;

/// <summary>
/// What makes a sample of the matrix a fair one: most faults show when two switches stand in a certain way, so each two of them
/// must be met in each way that they can stand together.
/// </summary>
internal static class Pairwise
{
    /// <summary>The pairs of settings that no cell of a sample has together.</summary>
    /// <param name="sample">The cells. What a switch can be set to is what it is set to in any of them.</param>
    /// <param name="switches">Read one switch each of a cell.</param>
    internal static IEnumerable<(object One, object Other)> Missing<T>(
        IReadOnlyList<T> sample, params IReadOnlyList<Func<T, object>> switches) =>
        from first in Enumerable.Range(0, switches.Count)
        from second in Enumerable.Range(first + 1, switches.Count - first - 1)
        from one in sample.Select(switches[first]).Distinct()
        from other in sample.Select(switches[second]).Distinct()
        where !sample.Any(cell => switches[first](cell).Equals(one) && switches[second](cell).Equals(other))
        select ($"switch {first}: {one}" as object, $"switch {second}: {other}" as object);
}
