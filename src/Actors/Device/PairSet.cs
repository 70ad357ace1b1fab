using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.QueuePair;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Device;

/// <summary>
/// The queue pairs of a device: part of the device's supervisor, used by its actor alone.
/// </summary>
/// <remarks>
/// <para>A pair's life, as events:</para>
/// <list type="bullet">
/// <item>its actor announces itself -> wait out the back-off -> start a worker with the next generation;</item>
/// <item>the worker runs -> tell it everything that is wanted of its rings (it knows nothing);</item>
/// <item>the worker has exited -> note where its rings stopped; its actor throws -> <see cref="OnFailure"/> grants a
/// restart or stops it;</item>
/// <item>the actor has stopped -> the pair is broken until the front-end starts one of its rings;</item>
/// <item>an answer is overdue -> the pair is silent: told to exit, replaced only when its thread has ended.</item>
/// </list>
/// </remarks>
internal sealed partial class PairSet
{
    private readonly RestartSettings _restart;
    private readonly WorkerFactory _factory;
    private readonly IActorContext _context;
    private readonly IWithTimers _owner;
    private readonly PairLog _log;
    private ImmutableArray<WorkerPair> _pairs = [];

    internal PairSet(
        DeviceSettings settings,
        WorkerFactory factory,
        IActorContext context,
        IWithTimers owner,
        ILoggingAdapter log,
        FrontendLog frontendLog)
    {
        _restart = settings.Restart;
        _factory = factory;
        _context = context;
        _owner = owner;
        _log = new PairLog(log, frontendLog, settings.Name);
    }

    /// <summary>What a pair's worker should be doing at this moment.</summary>
    internal required Func<int, PairDemand> Demand { get; init; }

    /// <summary>The plan of a pair's next worker.</summary>
    internal required Func<WorkerPair, WorkerPlan> Plan { get; init; }

    /// <summary>Told where a ring stopped.</summary>
    internal required Action<int, RingSide, uint> RingStoppedAt { get; init; }

    /// <summary>
    /// Told that a ring was given up: by its worker, which has signalled that, or together with its worker, which has
    /// not.
    /// </summary>
    internal required Action<int, RingSide, bool> RingGivenUp { get; init; }

    /// <summary>True while workers may have to wait for guest memory to come, for as long as that takes.</summary>
    internal required Func<bool> AwaitsPages { get; init; }

    /// <summary>Told that a ring waits for a translation.</summary>
    internal required Action<IotlbMiss> TranslationMissing { get; init; }

    /// <summary>Told that a pair or a ring was given up, or has recovered.</summary>
    internal required Action HealthChanged { get; init; }

    internal ImmutableArray<WorkerPair> All => _pairs;

    /// <summary>The numbers of the pairs to which frames may be steered.</summary>
    /// <param name="starting">The rings that are about to be started anew.</param>
    internal IEnumerable<int> Usable(ImmutableArray<int> starting) =>
        _pairs.Where(pair => pair.IsUsable(starting)).Select(pair => pair.Index);

    private ITimerScheduler Timers => _owner.Timers;

    /// <summary>True while some worker owes an answer, or is to come up at once.</summary>
    internal bool Busy => _pairs.Any(pair => pair.Busy);

    /// <summary>True when no actor is left.</summary>
    internal bool Ended => _pairs.All(pair => pair.Actor is null);

    /// <summary>What the pairs have counted, to be carried over to another device.</summary>
    internal CounterTable Counted() => CounterTable.Of(_pairs.Length, (pair, counter) => _pairs[pair].Counters[counter]);

    /// <summary>Goes on counting from there. What was counted by pairs that are not here is passed over.</summary>
    internal void GoOnFrom(CounterTable counters)
    {
        foreach (WorkerPair pair in _pairs)
        {
            pair.Counters.GoOnFrom(counters, pair.Index);
        }
    }

    /// <summary>Makes the actors; each announces itself.</summary>
    internal void Create(ImmutableArray<int?> cpus)
    {
        _pairs = [.. cpus.Select((cpu, index) => new WorkerPair(index, cpu, _restart))];
        foreach (WorkerPair pair in _pairs)
        {
            Spawn(pair);
        }
    }

    /// <summary>The front-end has started these rings: they may run again even if they were given up.</summary>
    internal void StartAnew(IEnumerable<int> rings)
    {
        foreach (int ring in rings)
        {
            _pairs[ring / 2].RingRestarted((RingSide)(ring % 2));
        }
    }

    /// <summary>Tells every worker what changed for it.</summary>
    internal void ReconcileAll()
    {
        foreach (WorkerPair pair in _pairs)
        {
            Reconcile(pair);
        }
    }

    /// <summary>Gives one command to the first pair that can take it. False when none can.</summary>
    internal bool PostToFirst(WorkerCommand command)
    {
        WorkerPair? pair = _pairs.FirstOrDefault(each => each.Health == PairHealth.Running);
        if (pair is null)
        {
            return false;
        }

        pair.Expect(command);
        Post(pair, [command]);
        return true;
    }

    /// <summary>Tells a worker to fail.</summary>
    internal bool InjectFault(int index, string reason)
    {
        WorkerPair? pair = _pairs.ElementAtOrDefault(index);
        if (pair is not { Health: PairHealth.Running })
        {
            return false;
        }

        pair.Actor.Tell(new PostCommands(pair.Generation, [new InjectFault(reason)]));
        return true;
    }

    /// <summary>The front-end starts a ring of this pair: a pair that was given up gets a fresh chance.</summary>
    internal void Revive(int index)
    {
        WorkerPair pair = _pairs[index];
        if (pair.Health != PairHealth.Broken || !pair.ThreadIsGone)
        {
            return;
        }

        _log.FreshChance(pair);
        pair.Revive();
        if (pair.Actor is null)
        {
            Spawn(pair);
        }
        else
        {
            StartWorker(pair);
        }
    }

    /// <summary>Ends all workers and then their actors.</summary>
    internal void End()
    {
        foreach (WorkerPair pair in _pairs)
        {
            CancelTimers(pair);
            pair.Actor?.Tell(EndPair.Instance);
        }
    }

    private void Spawn(WorkerPair pair)
    {
        // A name cannot be used again before its last holder has gone, which Terminated has told.
        pair.Actor = _context.ActorOf(QueuePairActor.Props(pair.Index, _factory), $"pair-{pair.Index}");
        _context.Watch(pair.Actor);
    }

    private void StartWorker(WorkerPair pair)
    {
        // Not before the last worker's thread is known to be gone: its WorkerExited comes back here.
        if (pair.ThreadIsGone && pair.Health == PairHealth.Waiting && pair.Actor is not null)
        {
            pair.BeginGeneration();
            pair.Actor.Tell(new StartWorker(Plan(pair)));
        }
    }

    private void Reconcile(WorkerPair pair)
    {
        IReadOnlyList<WorkerCommand> commands = pair.Reconcile(Demand(pair.Index));
        if (commands.Count == 0)
        {
            return;
        }

        _log.Told(pair, commands);
        Post(pair, commands);
    }

    private void Post(WorkerPair pair, IReadOnlyList<WorkerCommand> commands)
    {
        pair.Actor.Tell(new PostCommands(pair.Generation, commands));
        AwaitAnswer(pair);
    }

    private void AwaitAnswer(WorkerPair pair)
    {
        // Each answer restarts the clock: a worker that gets on is not silent, however much it was told.
        string key = SilenceKey(pair);
        if (pair.Busy)
        {
            Timers.StartSingleTimer(key, new PairSilent(pair.Index, pair.Generation), _restart.WorkerTimeout);
        }
        else
        {
            Timers.Cancel(key);
        }
    }

    private void CancelTimers(WorkerPair pair)
    {
        Timers.Cancel(SilenceKey(pair));
        Timers.Cancel(new StartPair(pair.Index));
    }

    private static string SilenceKey(WorkerPair pair) => $"silence-{pair.Index}";
}
