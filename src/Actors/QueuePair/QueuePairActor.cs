using System.Diagnostics.CodeAnalysis;
using Akka.Actor;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.QueuePair;

/// <summary>
/// Wraps one worker thread: hands it commands, turns its reports into messages to the parent and its death into an
/// exception that supervision sees.
/// </summary>
/// <remarks>
/// <para>States: Idle (no worker), Working, Ending (told to end, then stops itself).</para>
/// <para>
/// A restart throws the fields away and keeps the actor's reference, so nothing here is worth keeping: the plan of
/// the rings belongs to the parent, which sends it after each <see cref="PairStarted"/>. Nothing is opened in the constructor
/// or in PreStart, where a throw would stop the actor for good.
/// </para>
/// <para>
/// A second worker can never overlap the first on one ring: the actor takes one only while it has none, and the parent
/// sends one only after it has seen the last one's <see cref="WorkerExited"/>. That report is therefore passed on even when it
/// comes from a worker that this incarnation of the actor never knew; all other reports of such a worker are dropped.
/// </para>
/// </remarks>
public sealed class QueuePairActor : ReceiveActor, IWithTimers
{
    private static readonly TimeSpan FreeAfter = TimeSpan.FromMilliseconds(100);

    private readonly int _pair;
    private readonly WorkerFactory _factory;
    private IQueuePairWorker? _worker;
    private string? _abandoned;

    /// <summary>Use <see cref="Props"/>.</summary>
    public QueuePairActor(int pair, WorkerFactory factory)
    {
        _pair = pair;
        _factory = factory;
        Become(Idle);
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>The recipe for one pair's actor.</summary>
    /// <param name="pair">The pair's number.</param>
    /// <param name="factory">Starts the threads.</param>
    public static Props Props(int pair, WorkerFactory factory) =>
        Akka.Actor.Props.Create(() => new QueuePairActor(pair, factory));

    /// <inheritdoc/>
    protected override void PreStart() => Context.Parent.Tell(new PairStarted(_pair, Self));

    /// <summary>Tells the thread to go and does not wait for it: it holds leases on all that it still touches.</summary>
    protected override void PostStop()
    {
        _worker?.Post(new ExitWorker());
        _worker?.Free();
    }

    private void Idle()
    {
        Receive<StartWorker>(OnStartWorker);
        Receive<WorkerReport>(OnStrayReport);
        Receive<EndPair>(_ => Context.Stop(Self));
        Receive<PostCommands>(DropCommands);
        Receive<AbandonWorker>(Ignore);
    }

    private void Working()
    {
        Receive<PostCommands>(OnPostCommands);
        Receive<WorkerReport>(report => report.Generation != _worker!.Generation, OnStrayReport);
        Receive<WorkerExited>(OnExited);
        Receive<WorkerReport>(PassOn);
        Receive<AbandonWorker>(OnAbandon);
        Receive<FreeWorker>(_ => _worker!.Free());
        Receive<EndPair>(OnEnd);
    }

    private void Ending()
    {
        Receive<WorkerReport>(report => report.Generation != _worker!.Generation, OnStrayReport);
        Receive<WorkerExited>(OnEnded);
        Receive<WorkerReport>(PassOn);
        Receive<PostCommands>(DropCommands);
        Receive<AbandonWorker>(Ignore);
        Receive<FreeWorker>(_ => _worker!.Free());
    }

    private void OnStartWorker(StartWorker message)
    {
        IActorRef self = Self;
        try
        {
            _worker = _factory(message.Plan, report => self.Tell(report));
        }
        catch (Exception e)
        {
            Fail(new WorkerExited(message.Plan.Generation, e, RxBase: null, TxBase: null));
        }

        Context.Parent.Tell(new WorkerCreated(_pair, _worker));
        Become(Working);
    }

    private void OnPostCommands(PostCommands message)
    {
        if (message.Generation != _worker!.Generation)
        {
            return;
        }

        foreach (WorkerCommand command in message.Commands)
        {
            _worker.Post(command);
        }
    }

    private void OnAbandon(AbandonWorker message)
    {
        if (message.Generation == _worker!.Generation)
        {
            _abandoned = message.Reason;
            End();
        }
    }

    private void OnEnd(EndPair message)
    {
        End();
        Become(Ending);
    }

    /// <summary>Tells the worker to end, and helps it to for as long as it does not.</summary>
    private void End()
    {
        _worker!.Post(new ExitWorker());
        Timers.StartPeriodicTimer(FreeWorker.Instance, FreeWorker.Instance, FreeAfter);
    }

    private void OnExited(WorkerExited report)
    {
        _worker = null;
        Fail(report);
    }

    private void OnEnded(WorkerExited report)
    {
        _worker = null;
        PassOn(report);
        Context.Stop(Self);
    }

    /// <summary>The parent hears of it before supervision acts: it needs the indices to go on from.</summary>
    [DoesNotReturn]
    private void Fail(WorkerExited report)
    {
        PassOn(report);
        string reason = report.Cause?.Message ?? _abandoned ?? "the worker ended without being told to";
        throw new WorkerFailedException(_pair, report.Generation, reason, report.Cause);
    }

    private void OnStrayReport(WorkerReport report)
    {
        if (report is WorkerExited)
        {
            PassOn(report);
        }
    }

    private void PassOn(WorkerReport report) => Context.Parent.Tell(new WorkerReported(_pair, report));

    private void DropCommands(PostCommands message)
    {
        // The worker that they were meant for is gone; WorkerExited has answered them.
    }

    private void Ignore(AbandonWorker message)
    {
        // It has exited by itself meanwhile.
    }

    /// <summary>To itself, while a worker that was told to end has not.</summary>
    private sealed class FreeWorker
    {
        internal static readonly FreeWorker Instance = new();
    }
}
