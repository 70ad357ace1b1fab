using System.Diagnostics;
using Ringmaster.Actors.Device;
using Ringmaster.Native.Worker;

namespace Ringmaster.Host.Demo;

/// <summary>One pair's numbers at one moment.</summary>
/// <param name="Pair">Which pair.</param>
/// <param name="Datagrams">UDP datagrams there and back.</param>
/// <param name="ToHost">TCP bytes delivered to the host.</param>
/// <param name="ToGuest">TCP bytes delivered to the guest.</param>
/// <param name="Frames">Frames that the worker moved, both ways.</param>
/// <param name="Generation">Which worker of the pair it is.</param>
/// <param name="State">What that worker does.</param>
internal sealed record PairNumbers(
    int Pair,
    long Datagrams,
    long ToHost,
    long ToGuest,
    long Frames,
    long Generation,
    WorkerState State);

/// <summary>All pairs' numbers at one moment.</summary>
/// <param name="At">A <see cref="Stopwatch"/> timestamp.</param>
/// <param name="Pairs">By number.</param>
internal sealed record DemoSnapshot(long At, IReadOnlyList<PairNumbers> Pairs)
{
    internal static async Task<DemoSnapshot> TakeAsync(DemoStage stage)
    {
        IReadOnlyList<WorkerHandle> workers = await stage.WorkersAsync();
        return new DemoSnapshot(Stopwatch.GetTimestamp(), [.. workers.Select(worker => Of(stage.Guest, worker))]);
    }

    /// <summary>Seconds since an earlier one.</summary>
    internal double SecondsSince(DemoSnapshot before) => Stopwatch.GetElapsedTime(before.At, At).TotalSeconds;

    private static PairNumbers Of(DemoGuest guest, WorkerHandle worker)
    {
        bool talking = guest.Udp.Count > worker.Pair && guest.Tcp.Count > worker.Pair;
        return new PairNumbers(
            worker.Pair,
            talking ? guest.Udp[worker.Pair].Returned : 0,
            talking ? guest.Tcp[worker.Pair].Delivered : 0,
            talking ? guest.Tcp[worker.Pair].Received : 0,
            worker.Counters[WorkerCounter.TxFrames] + worker.Counters[WorkerCounter.RxFrames],
            worker.Generation,
            worker.State);
    }
}
