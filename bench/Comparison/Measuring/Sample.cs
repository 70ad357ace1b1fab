namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>One measurement of one contender.</summary>
/// <param name="Round">Which round; samples of one round are compared with each other.</param>
/// <param name="Driver">Who played the guest: dpdk, ringmaster, or none for the bare loop.</param>
/// <param name="Work">The key of what was done, such as guest-to-tap/64.</param>
/// <param name="Contender">Who did it.</param>
internal sealed record Sample(int Round, string Driver, string Work, string Contender)
{
    /// <summary>Frames that arrived at the other end, a second.</summary>
    public double FramesPerSecond { get; init; }

    /// <summary>CPU time of all threads of the process, nanoseconds for each such frame.</summary>
    public double NanosecondsPerFrame { get; init; }

    /// <summary>Share of a CPU that the process took: 1 = one CPU all the time.</summary>
    public double CpuShare { get; init; }

    /// <summary>Frames of the generator that did not reach the guest, percent; null where there is no generator.</summary>
    public double? LossPercent { get; init; }

    /// <summary>Round trips, microseconds; null where none were timed.</summary>
    public double? P50 { get; init; }

    /// <inheritdoc cref="P50"/>
    public double? P99 { get; init; }
}
