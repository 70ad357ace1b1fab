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
        await using BareProcess bare = await BareProcess.StartAsync(network, ceiling.Program, ceiling.Engine, workload);
        using FrameGenerator? generator = workload.Direction == Direction.TapToGuest
            ? FrameGenerator.Start(network, bare.Tap, workload, Cpus.Driver)
            : null;
        await Meter.MovingAsync(network, bare.Tap, workload.Direction, cancellation);
        await Task.Delay(durations.BareWarmUp, cancellation);
        Meter first = Meter.Read(network, bare.Tap, bare.Process.Id);
        await Task.Delay(durations.Window, cancellation);
        Meter last = Meter.Read(network, bare.Tap, bare.Process.Id);
        return Meter.Between(first, last, empty, workload.Direction);
    }
}
