using Ringmaster.Bench.Compare.Bare;
using Ringmaster.Bench.Compare.Contenders;

namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>Measures a bare TAP loop as back-ends are measured: by the kernel's count and the scheduler's account.</summary>
internal static class BareMeasurement
{
    internal static async Task<Sample> RunAsync(
        Ceiling ceiling,
        Workload workload,
        Durations durations,
        Sample empty,
        CancellationToken cancellation)
    {
        await using TestNamespace network = await TestNamespace.CreateAsync();
        using SharedFrames? frames = ceiling.HasGuest
            ? SharedFrames.Create(BareGuest.BuffersOf(empty.Driver, workload), BareLoop.RoomOf(workload.Gso))
            : null;
        await using BareProcess bare = await BareProcess.StartAsync(network, ceiling, workload, frames);
        using IDisposable? other = Other(network, bare.Tap, workload, frames);
        await Meter.MovingAsync(network, bare.Tap, workload.Direction, cancellation);
        await Task.Delay(durations.BareWarmUp, cancellation);
        Meter first = Meter.Read(network, bare.Tap, bare.Process.Id);
        await Task.Delay(durations.Window, cancellation);
        Meter last = Meter.Read(network, bare.Tap, bare.Process.Id);
        return Meter.Between(first, last, empty, workload);
    }

    /// <summary>Who is at the loop's other end.</summary>
    private static IDisposable? Other(TestNamespace network, string tap, Workload workload, SharedFrames? frames)
    {
        if (frames is not null)
        {
            return BareGuest.Start(network, tap, frames, workload);
        }

        return workload.Direction == Direction.TapToGuest ? FrameGenerator.Start(network, tap, workload, Cpus.Driver) : null;
    }
}
