using System.Diagnostics;

namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>
/// Looks at a process and its TAP twice: how many frames the kernel counted at the interface between the looks, and how
/// much CPU time the process took.
/// </summary>
internal sealed record Meter(long Timestamp, TimeSpan Cpu, InterfaceCounters Tap)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    internal static Meter Read(TestNamespace network, string tap, int process)
    {
        InterfaceCounters counters = Counters(network, tap);
        return new Meter(Stopwatch.GetTimestamp(), CpuTime.Of(process), counters);
    }

    /// <summary>Waits until frames go through the TAP in a direction.</summary>
    internal static async Task MovingAsync(TestNamespace network, string tap, Direction direction, CancellationToken cancellation)
    {
        long before = Frames(Counters(network, tap), direction);
        Stopwatch watch = Stopwatch.StartNew();
        while (Frames(Counters(network, tap), direction) == before)
        {
            if (watch.Elapsed > Patience)
            {
                throw new TimeoutException($"No frame went through {tap} in {Patience.TotalSeconds:N0} s.");
            }

            await Task.Delay(Interval, cancellation);
        }
    }

    /// <summary>What happened between two looks.</summary>
    internal static Sample Between(Meter first, Meter last, Sample empty, Direction direction)
    {
        double seconds = Stopwatch.GetElapsedTime(first.Timestamp, last.Timestamp).TotalSeconds;
        long frames = Frames(last.Tap, direction) - Frames(first.Tap, direction);
        double cpu = (last.Cpu - first.Cpu).TotalSeconds;
        long dropped = last.Tap.SentDropped - first.Tap.SentDropped;
        return empty with
        {
            FramesPerSecond = frames / seconds,
            NanosecondsPerFrame = frames == 0 ? double.NaN : cpu * 1e9 / frames,
            CpuShare = cpu / seconds,
            LossPercent = direction == Direction.TapToGuest ? 100.0 * dropped / Math.Max(frames + dropped, 1) : null,
        };
    }

    private static InterfaceCounters Counters(TestNamespace network, string tap) =>
        network.CountersOf(tap) ?? throw new InvalidOperationException($"The interface {tap} is gone.");

    /// <summary>What the back-end wrote into the TAP, the kernel has received; what it read, the kernel has sent.</summary>
    private static long Frames(InterfaceCounters tap, Direction direction) =>
        direction == Direction.GuestToTap ? tap.ReceivedFrames : tap.SentFrames;
}
