using System.Diagnostics;
using Ringmaster.Actors.Device;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Worker;

namespace Ringmaster.Host.Demo;

/// <summary>The story of the demo, from the first ARP request to the verdict.</summary>
internal sealed class DemoRun(DemoView view, PrivateNetwork network, bool verbose)
{
    private const int FailingPair = 0;
    private static readonly TimeSpan Hello = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LongTraffic = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ShortTraffic = TimeSpan.FromSeconds(2.5);

    // All is to be over 15 s after the start; a machine that was slow to start gets less traffic.
    private static readonly TimeSpan TrafficEnds = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan RunOut = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(2);
    private readonly List<DemoCheck> _checks = [];
    private readonly long _start = Stopwatch.GetTimestamp();

    /// <summary>Plays it.</summary>
    /// <returns>True when every check held.</returns>
    internal async Task<bool> PlayAsync(CancellationToken cancellation)
    {
        DemoStage stage = await DemoStage.OpenAsync(network, verbose);
        try
        {
            view.Say($"Up: a device with {DemoStage.Pairs} queue pairs, its TAP in a private namespace, a guest on its socket.");
            view.Say($"Agreed: {stage.Driver.Features}");
            await PlayAsync(stage, cancellation);
        }
        finally
        {
            await stage.DisposeAsync();
        }

        string socket = stage.SocketLeft ? "its socket is still there" : "its socket is gone";
        _checks.Add(new DemoCheck("the back-end stops cleanly", !stage.SocketLeft, socket));
        view.Conclude(_checks, Stopwatch.GetElapsedTime(_start));
        return _checks.All(check => check.Holds);
    }

    private async Task PlayAsync(DemoStage stage, CancellationToken cancellation)
    {
        DemoGuest guest = stage.Guest;
        await UntilAsync(() => guest.PingsAnswered == DemoGuest.Pings || guest.Fault is not null, Hello, cancellation);
        _checks.AddRange(DemoChecks.OfHello(guest));
        if (guest.Host is not { } host)
        {
            return;
        }

        view.Say($"The host is {host.Mac}. Now UDP and TCP both ways on each pair;");
        view.Say($"half-way, the worker of pair {FailingPair} is made to fail.");
        guest.BeginTraffic();
        TimeSpan left = TrafficEnds - Stopwatch.GetElapsedTime(_start);
        TimeSpan traffic = left > LongTraffic ? LongTraffic : left < ShortTraffic ? ShortTraffic : left;
        Task<WorkerFailure> failure = FailWorkerAsync(stage, traffic / 2, cancellation);
        await view.FollowAsync(stage, Task.WhenAll(failure, Task.Delay(traffic, cancellation)));
        await RunOutAsync(stage, cancellation);
        _checks.AddRange(DemoChecks.OfTraffic(stage, FailingPair));
        _checks.AddRange(DemoChecks.OfFailure(guest, await stage.WorkersAsync(), await failure, FailingPair));
    }

    private async Task<WorkerFailure> FailWorkerAsync(DemoStage stage, TimeSpan after, CancellationToken cancellation)
    {
        await Task.Delay(after, cancellation);
        long generation = (await stage.WorkersAsync())[FailingPair].Generation;
        long start = Stopwatch.GetTimestamp();
        await stage.Backend.InjectWorkerFaultAsync(DemoStage.Device, FailingPair, "the demo asked for it");
        long next = generation;
        while (next == generation && Stopwatch.GetElapsedTime(start) < Hello)
        {
            await Task.Delay(Look, cancellation);
            WorkerHandle worker = (await stage.WorkersAsync())[FailingPair];
            next = worker.State == WorkerState.Running ? worker.Generation : generation;
        }

        long restarted = Stopwatch.GetTimestamp();
        bool back = await UntilAsync(() => stage.Guest.Udp[FailingPair].LastReturn > restarted, Hello, cancellation);
        return new WorkerFailure(generation, next, back ? Stopwatch.GetElapsedTime(start) : null);
    }

    /// <summary>Both ends send no more; what is under way arrives.</summary>
    private static async Task RunOutAsync(DemoStage stage, CancellationToken cancellation)
    {
        foreach (DemoHost host in stage.Hosts)
        {
            host.EndTraffic();
        }

        stage.Guest.EndTraffic();
        bool Over() => stage.Guest.Fault is not null || (stage.Guest.Finished && stage.Hosts.All(host => host.TcpFinished));
        await UntilAsync(Over, RunOut, cancellation);
    }

    private static async Task<bool> UntilAsync(Func<bool> condition, TimeSpan patience, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > patience)
            {
                return false;
            }

            await Task.Delay(Look, cancellation);
        }

        return true;
    }
}
