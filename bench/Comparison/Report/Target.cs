using Ringmaster.Bench.Compare.Contenders;
using Ringmaster.Bench.Compare.Measuring;

namespace Ringmaster.Bench.Compare.Report;

/// <summary>What Ringmaster is to reach, as ratios within one run, and what it reached.</summary>
/// <param name="What">In words.</param>
/// <param name="Goal">At least so much.</param>
/// <param name="Measured">Null where it was not measured.</param>
internal sealed record Target(string What, double Goal, Spread? Measured)
{
    private const string Dpdk = TestpmdGuest.DriverName;
    private const string Ours = DriveGuest.DriverName;

    private static readonly (string Name, Func<Sample, double> Time)[] RoundTrips =
    [
        ("p50", sample => sample.P50 ?? double.NaN), ("p99", sample => sample.P99 ?? double.NaN),
    ];

    /// <summary>The bare loop that works for itself, and the one whose buffers another CPU touches as a guest does.</summary>
    private static readonly (string Name, Func<string, string> OfEngine)[] Loops =
    [
        ("", Ceiling.NameOf), (" with a guest", Ceiling.NameWithGuest),
    ];

    /// <summary>All targets, with what the results say.</summary>
    internal static IEnumerable<Target> All(Results results)
    {
        string ring = Contender.NameOf(Contender.IoUring);
        string plain = Contender.NameOf(Contender.Syscall);
        foreach (string size in new[] { "64", "1500" })
        {
            foreach ((string loop, Func<string, string> bare) in Loops)
            {
                yield return new Target(
                    $"guest to TAP, {size} B: rate, of the bare io_uring loop{loop}", 0.85,
                    results.RateRatio(Dpdk, "guest-to-tap/" + size, ring, bare(Contender.IoUring)));
                yield return new Target(
                    $"TAP to guest, {size} B: CPU time for a frame, of the bare io_uring loop{loop}", 0.80,
                    results.CpuRatio(Ours, "tap-to-guest/" + size, ring, bare(Contender.IoUring)));
                yield return new Target(
                    $"guest to TAP, {size} B: rate of the syscall engine, of the bare syscall loop{loop}", 0.90,
                    results.RateRatio(Dpdk, "guest-to-tap/" + size, plain, bare(Contender.Syscall)));
                yield return new Target(
                    $"TAP to guest, {size} B: CPU time for a frame, syscall engine, of the bare syscall loop{loop}", 0.90,
                    results.CpuRatio(Ours, "tap-to-guest/" + size, plain, bare(Contender.Syscall)));
            }

            yield return new Target(
                $"guest to TAP, {size} B: rate, of DPDK's", 1.5,
                results.RateRatio(Dpdk, "guest-to-tap/" + size, ring, Contender.DpdkName));
            yield return new Target(
                $"TAP to guest, {size} B: rate, of DPDK's", 1.5,
                results.RateRatio(Ours, "tap-to-guest/" + size, ring, Contender.DpdkName));
        }

        string merging = Contender.MergingNameOf(Contender.IoUring);
        foreach ((string id, string what) in new[]
        {
            ("one-flow/64", "guest to TAP, 64 B"), ("one-flow/1500", "guest to TAP, 1500 B"),
            ("one-flow-to-socket/64", "guest to a socket of the host, 64 B"),
        })
        {
            yield return new Target(
                $"{what}, one flow, merged: rate, of DPDK's", 1.5, results.RateRatio(Ours, id, merging, Contender.DpdkName));
        }

        foreach ((string loop, Func<string, string> bare) in Loops)
        {
            yield return new Target(
                $"guest to TAP, GSO: rate, of the bare io_uring loop{loop}", 0.95,
                results.RateRatio(Ours, "guest-to-tap/gso", ring, bare(Contender.IoUring)));
            yield return new Target(
                $"TAP to guest, GSO: CPU time for a frame, of the bare io_uring loop{loop}", 0.95,
                results.CpuRatio(Ours, "tap-to-guest/gso", ring, bare(Contender.IoUring)));
        }

        foreach ((string name, Func<Sample, double> time) in RoundTrips)
        {
            yield return new Target(
                $"round trip {name}, as configured by default: how many times as short as DPDK's", 1.0,
                results.Ratio((Ours, Comparison.EchoWork, Contender.DpdkName), (Ours, Comparison.EchoWork, ring), time));
            yield return new Target(
                $"round trip {name}, busy-poll = 100us: how many times as short as DPDK's", 1.0,
                results.Ratio(
                    (Ours, Comparison.EchoWork, Contender.DpdkName), (Ours, Comparison.EchoWork, ring + ", busy-poll"), time));
        }

        yield return new Target(
            "two pairs: twice the ratio of CPU time for a frame, one pair to two", 1.9,
            results.Ratio(
                (Ours, Comparison.PairsWork + "1", ring), (Ours, Comparison.PairsWork + "2", ring),
                sample => sample.NanosecondsPerFrame) is { } ratio
                ? new Spread(2 * ratio.Median, 2 * ratio.Min, 2 * ratio.Max)
                : null);
    }

}
