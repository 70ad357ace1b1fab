using System.Collections.Immutable;
using Akka.Actor;
using Ringmaster.Actors.QueuePair;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Device;

/// <summary>How one queue pair fares.</summary>
public enum PairHealth
{
    /// <summary>No worker: not started yet, or waiting out the back-off after a failure.</summary>
    Waiting,

    /// <summary>The worker runs.</summary>
    Running,

    /// <summary>
    /// The worker does not answer and its thread may still touch the rings: no other may take its place. Ends
    /// when the thread does.
    /// </summary>
    Silent,

    /// <summary>Failed too often. The next start of one of its rings by the front-end gives it a fresh chance.</summary>
    Broken,
}

/// <summary>What a pair's worker should be doing. The plans are null for rings that must not run.</summary>
/// <param name="Maps">Guest memory, log and in-flight region.</param>
/// <param name="Iotlb">The translations of a device behind an IOMMU.</param>
/// <param name="LogCall">Signalled when something was marked in the log, or null.</param>
/// <param name="Rx">The receive ring.</param>
/// <param name="Tx">The transmit ring.</param>
internal readonly record struct PairDemand(GuestMaps Maps, Iotlb Iotlb, OwnedFd? LogCall, RingPlan? Rx, RingPlan? Tx)
{
    internal RingPlan? Of(RingSide side) => side == RingSide.Rx ? Rx : Tx;
}

/// <summary>
/// The device supervisor's record of one queue pair: who works on it and what that worker has been told. It turns the difference
/// between what is wanted and what was told into commands; a new worker has been told nothing, so a restart and an
/// ordinary change are the same thing.
/// </summary>
internal sealed class WorkerPair
{
    private static readonly RingSide[] Sides = [RingSide.Rx, RingSide.Tx];

    private readonly RingPlan?[] _told = new RingPlan?[2];
    private readonly bool[] _ringBroken = new bool[2];

    /// <summary>While the pair is silent: what its worker says at last of where this ring stopped is out of date.</summary>
    private readonly bool[] _lastWordIsLate = new bool[2];
    private readonly HashSet<long> _outstanding = [];
    private GuestMemory _toldMemory = GuestMemory.Empty;
    private Iotlb _toldIotlb = Iotlb.Empty;
    private SetLog? _toldLog;
    private InflightRegion? _toldInflight;
    private bool _threadGone = true;
    private bool _starting = true;

    internal WorkerPair(int index, int? cpu, RestartSettings restart)
    {
        Index = index;
        Cpu = cpu;
        Budget = new RestartBudget(restart);
    }

    internal int Index { get; }

    /// <summary>The CPU chosen for this pair, or null for no pinning.</summary>
    internal int? Cpu { get; }

    internal RestartBudget Budget { get; }

    /// <summary>Outlive the workers.</summary>
    internal PairCounters Counters { get; } = new();

    /// <summary>Null once supervision has stopped it.</summary>
    internal IActorRef? Actor { get; set; }

    /// <summary>The latest worker, also when it has ended; null before the first.</summary>
    internal IQueuePairWorker? Worker { get; private set; }

    /// <summary>Of the latest worker that was asked for; 0 before the first.</summary>
    internal long Generation { get; private set; }

    internal PairHealth Health { get; private set; }

    /// <summary>Workers that failed since the device came up.</summary>
    internal int Failures { get; private set; }

    /// <summary>For the operator: why the last worker failed.</summary>
    internal string? LastFailure { get; private set; }

    /// <summary>How long to wait before the next worker; set when supervision grants a restart.</summary>
    internal TimeSpan StartDelay { get; set; }

    /// <summary>False for a pair that no frame should be steered to: nobody would ever give it to the guest.</summary>
    /// <param name="starting">The rings that are about to be started anew, and so are not broken any more.</param>
    internal bool IsUsable(ImmutableArray<int> starting) =>
        Health is PairHealth.Waiting or PairHealth.Running
        && (!_ringBroken[(int)RingSide.Rx] || starting.Contains(2 * Index));

    internal PairStatus Status => new(
        Index, Health, Generation, Cpu, Failures, LastFailure, Activity(RingSide.Rx), Activity(RingSide.Tx));

    /// <summary>True while the worker owes an answer, or is to come up at once.</summary>
    internal bool Busy => _starting || _outstanding.Count > 0;

    /// <summary>
    /// True when the latest worker's thread has ended, or there was none. Its own word counts where its report was lost.
    /// </summary>
    internal bool ThreadIsGone => _threadGone || (Actor is null && Worker is { State: WorkerState.Exited or WorkerState.Failed });

    /// <summary>Counts one more generation; from here on a thread may exist.</summary>
    internal long BeginGeneration()
    {
        Forget();
        _threadGone = false;
        _starting = true;
        return ++Generation;
    }

    internal void Started(IQueuePairWorker worker)
    {
        Worker = worker;
        _starting = false;
        Health = PairHealth.Running;
    }

    /// <summary>The thread has ended and with it everything that was told to it.</summary>
    internal void Exited()
    {
        Forget();
        _threadGone = true;
        _starting = false;
        Health = PairHealth.Waiting;
    }

    internal void Failed(string reason)
    {
        Failures++;
        LastFailure = reason;
    }

    internal void GiveUp()
    {
        Forget();
        _starting = false;
        Health = PairHealth.Broken;
    }

    internal void FallSilent(string reason)
    {
        Forget();
        Array.Clear(_lastWordIsLate);
        Health = PairHealth.Silent;
        Failed(reason);
    }

    /// <summary>A fresh chance for a pair that was given up and whose thread has ended.</summary>
    internal void Revive()
    {
        Forget();
        _threadGone = true;
        Budget.Reset();
        StartDelay = TimeSpan.Zero;
        Health = PairHealth.Waiting;
    }

    /// <summary>The worker itself has stopped the ring.</summary>
    internal void RingBroke(RingSide side)
    {
        _told[(int)side] = null;
        _ringBroken[(int)side] = true;
    }

    /// <summary>The front-end has started the ring anew.</summary>
    internal void RingRestarted(RingSide side) => _ringBroken[(int)side] = false;

    /// <summary>
    /// True when where a silent worker stopped the ring is not where it is to go on: the front-end has been told otherwise, and
    /// may have started it anew or made room for another front-end since.
    /// </summary>
    internal bool LastWordIsLate(RingSide side) => Health == PairHealth.Silent && _lastWordIsLate[(int)side];

    /// <summary>Notes an answer. False for an answer to nothing that was asked here.</summary>
    internal bool Acknowledge(long commandId) => _outstanding.Remove(commandId);

    /// <summary>Adds a command that no difference of plans calls for.</summary>
    internal void Expect(WorkerCommand command) => _outstanding.Add(command.Id);

    /// <summary>
    /// What the worker must be told so that it does what is demanded: stops first, then memory, log and in-flight region, then
    /// changes, then starts.
    /// Each command now counts as told and as awaited.
    /// </summary>
    internal IReadOnlyList<WorkerCommand> Reconcile(PairDemand demand)
    {
        if (Health != PairHealth.Running)
        {
            NoteStops(demand);
            return [];
        }

        var commands = new List<WorkerCommand>();
        AddStops(demand, commands);
        AddMemory(demand, commands);
        AddUpdates(demand, commands);
        AddStarts(demand, commands);
        _outstanding.UnionWith(commands.Select(command => command.Id));
        return commands;
    }

    private void NoteStops(PairDemand demand)
    {
        foreach (RingSide side in Sides)
        {
            _lastWordIsLate[(int)side] |= demand.Of(side) is null;
        }
    }

    private void AddStops(PairDemand demand, List<WorkerCommand> commands)
    {
        foreach (RingSide side in Sides)
        {
            if (_told[(int)side] is { } told && (demand.Of(side) is not { } wanted || wanted.Size != told.Size))
            {
                commands.Add(new StopRing(side));
                _told[(int)side] = null;
            }
        }
    }

    private void AddMemory(PairDemand demand, List<WorkerCommand> commands)
    {
        if (!ReferenceEquals(_toldMemory, demand.Maps.Memory))
        {
            commands.Add(new ReplaceMemory(demand.Maps.Memory));
            _toldMemory = demand.Maps.Memory;
        }

        if (!ReferenceEquals(_toldIotlb, demand.Iotlb))
        {
            commands.Add(new SetIotlb(demand.Iotlb));
            _toldIotlb = demand.Iotlb;
        }

        if (!ReferenceEquals(_toldLog?.Log, demand.Maps.Log) || !ReferenceEquals(_toldLog?.Call, demand.LogCall))
        {
            _toldLog = new SetLog(demand.Maps.Log, demand.LogCall);
            commands.Add(_toldLog);
        }

        if (!ReferenceEquals(_toldInflight, demand.Maps.Inflight))
        {
            commands.Add(new SetInflight(demand.Maps.Inflight));
            _toldInflight = demand.Maps.Inflight;
        }
    }

    private void AddUpdates(PairDemand demand, List<WorkerCommand> commands)
    {
        foreach (RingSide side in Sides)
        {
            // The index of a running ring is the worker's: what the front-end set counts at the next start.
            if (_told[(int)side] is { } told && demand.Of(side) is { } wanted && wanted with { Base = told.Base } != told)
            {
                RingPlan plan = wanted with { Base = told.Base };
                commands.Add(new UpdateRing(side, plan));
                _told[(int)side] = plan;
            }
        }
    }

    private void AddStarts(PairDemand demand, List<WorkerCommand> commands)
    {
        foreach (RingSide side in Sides)
        {
            if (_told[(int)side] is null && !_ringBroken[(int)side] && demand.Of(side) is { } wanted)
            {
                commands.Add(new StartRing(side, wanted));
                _told[(int)side] = wanted;
            }
        }
    }

    private RingActivity Activity(RingSide side) => (_told[(int)side], _ringBroken[(int)side]) switch
    {
        (_, true) => RingActivity.Broken,
        ({ Enabled: true }, _) => RingActivity.Running,
        ({ Enabled: false }, _) => RingActivity.Disabled,
        _ => RingActivity.Stopped,
    };

    private void Forget()
    {
        _outstanding.Clear();
        _toldMemory = GuestMemory.Empty;
        _toldIotlb = Iotlb.Empty;
        _toldLog = null;
        _toldInflight = null;
        Array.Clear(_told);
    }
}
