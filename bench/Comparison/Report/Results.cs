using Ringmaster.Bench.Compare.Contenders;
using Ringmaster.Bench.Compare.Measuring;

namespace Ringmaster.Bench.Compare.Report;

/// <summary>Questions to the samples. Ratios are taken within each round, and then their median.</summary>
internal sealed class Results(IReadOnlyList<Sample> samples)
{
    private static readonly string[] Order =
    [
        "bare loop", "C loop", Contender.NameOf(Contender.IoUring), Contender.NameOf(Contender.Syscall), Contender.DpdkName,
    ];

    /// <summary>Who did a work with a driver: the bare loops, Ringmaster, DPDK, others.</summary>
    internal IReadOnlyList<string> Contenders(string driver, string work) =>
    [
        .. Of(driver, work).Select(sample => sample.Contender).Distinct()
            .OrderBy(PlaceOf)
            .ThenBy(name => name, StringComparer.Ordinal),
    ];

    /// <summary>The spread of one number of a contender.</summary>
    internal Spread? Get(string driver, string work, string contender, Func<Sample, double> number) =>
        Spread.Of(Of(driver, work).Where(sample => sample.Contender == contender).Select(number));

    /// <summary>How many times as fast one contender is as another: more frames a second.</summary>
    internal Spread? RateRatio(string driver, string work, string contender, string than) =>
        Ratio((driver, work, contender), (driver, work, than), sample => sample.FramesPerSecond);

    /// <summary>How many times as fast one contender is as another: less CPU time for a frame.</summary>
    internal Spread? CpuRatio(string driver, string work, string contender, string than) =>
        Ratio((driver, work, than), (driver, work, contender), sample => sample.NanosecondsPerFrame);

    /// <summary>One number over another of the same round.</summary>
    internal Spread? Ratio(
        (string Driver, string Work, string Contender) over,
        (string Driver, string Work, string Contender) under,
        Func<Sample, double> number)
    {
        Dictionary<int, double> bottom = Find(under).ToDictionary(sample => sample.Round, number);
        return Spread.Of(Find(over)
            .Where(sample => bottom.ContainsKey(sample.Round))
            .Select(sample => number(sample) / bottom[sample.Round]));
    }

    private static int PlaceOf(string contender)
    {
        int place = Array.FindIndex(Order, prefix => contender.StartsWith(prefix, StringComparison.Ordinal));
        return place >= 0 ? place : Order.Length;
    }

    private IEnumerable<Sample> Find((string Driver, string Work, string Contender) key) =>
        Of(key.Driver, key.Work).Where(sample => sample.Contender == key.Contender);

    private IEnumerable<Sample> Of(string driver, string work) =>
        samples.Where(sample => sample.Driver == driver && sample.Work == work);
}
