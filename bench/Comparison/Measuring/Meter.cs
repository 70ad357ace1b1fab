using System.Diagnostics;
using Ringmaster.Native.Driver.Frames;

namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>
/// Looks at a process and its TAP twice: how many frames the kernel counted at the interface between the looks, and how
/// much CPU time the process took.
/// </summary>
/// <remarks>
/// The kernel counts a merged frame as one. But as each frame is one datagram behind the same headers, frames and bytes at the
/// interface tell how many datagrams there were. What goes to a socket is counted where it was cut again, as UDP datagrams.
/// </remarks>
internal sealed record Meter(long Timestamp, TimeSpan Cpu, InterfaceCounters Tap, long Datagrams)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    internal static Meter Read(TestNamespace network, string tap, int process)
    {
        InterfaceCounters counters = Counters(network, tap);
        long datagrams = UdpCounters.Arrived(network);
        return new Meter(Stopwatch.GetTimestamp(), CpuTime.Of(process), counters, datagrams);
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
    internal static Sample Between(Meter first, Meter last, Sample empty, Workload workload)
    {
        double seconds = Stopwatch.GetElapsedTime(first.Timestamp, last.Timestamp).TotalSeconds;
        long frames = last.Count(workload) - first.Count(workload);
        double cpu = (last.Cpu - first.Cpu).TotalSeconds;
        long dropped = last.Tap.SentDropped - first.Tap.SentDropped;
        return empty with
        {
            FramesPerSecond = frames / seconds,
            NanosecondsPerFrame = frames == 0 ? double.NaN : cpu * 1e9 / frames,
            CpuShare = cpu / seconds,
            LossPercent = workload.Direction == Direction.TapToGuest ? 100.0 * dropped / Math.Max(frames + dropped, 1) : null,
        };
    }

    private long Count(Workload workload)
    {
        const int headers = PacketWriter.DatagramPayload;
        return workload switch
        {
            { Flows: Flows.OneToSocket } => Datagrams,
            { Direction: Direction.GuestToTap, Gso: false } =>
                (Tap.ReceivedBytes - (headers * Tap.ReceivedFrames)) / (workload.FrameSize - headers),
            _ => Frames(Tap, workload.Direction),
        };
    }

    private static InterfaceCounters Counters(TestNamespace network, string tap) =>
        network.CountersOf(tap) ?? throw new InvalidOperationException($"The interface {tap} is gone.");

    /// <summary>What the back-end wrote into the TAP, the kernel has received; what it read, the kernel has sent.</summary>
    private static long Frames(InterfaceCounters tap, Direction direction) =>
        direction == Direction.GuestToTap ? tap.ReceivedFrames : tap.SentFrames;
}
