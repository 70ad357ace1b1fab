using Ringmaster.Actors.QueuePair;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Support;

/// <summary>
/// A worker without a thread. It answers each command at once, unless it is told to hold its answers; then
/// <see cref="Answer"/> gives them.
/// </summary>
internal sealed class FakeWorker : IQueuePairWorker
{
    private readonly Lock _gate = new();
    private readonly Action<WorkerReport> _report;
    private readonly List<WorkerCommand> _commands = [];
    private readonly Queue<WorkerCommand> _unanswered = new();
    private readonly RingPlan?[] _rings = new RingPlan?[2];
    private bool _ended;

    internal FakeWorker(WorkerPlan plan, Action<WorkerReport> report, bool holds)
    {
        Plan = plan;
        _report = report;
        Holds = holds;
    }

    public long Generation => Plan.Generation;

    public int? Cpu => Plan.Cpu;

    public WorkerState State { get; private set; } = WorkerState.Running;

    public WorkerCounters Counters => Plan.Counters;

    internal WorkerPlan Plan { get; }

    /// <summary>True: commands wait for <see cref="Answer"/>.</summary>
    internal bool Holds { get; set; }

    /// <summary>True: <see cref="ExitWorker"/> has no effect, as for a thread that hangs.</summary>
    internal bool Hangs { get; set; }

    /// <summary>How often it was helped on.</summary>
    internal int Freed { get; private set; }

    /// <summary>What a stopped ring reports, by side; an index past where it began shows that frames moved.</summary>
    internal uint[] Bases { get; } = [0, 0];

    internal IReadOnlyList<WorkerCommand> Commands
    {
        get
        {
            lock (_gate)
            {
                return [.. _commands];
            }
        }
    }

    internal int Unanswered
    {
        get
        {
            lock (_gate)
            {
                return _unanswered.Count;
            }
        }
    }

    internal RingPlan? Ring(RingSide side)
    {
        lock (_gate)
        {
            return _rings[(int)side];
        }
    }

    public void Free() => Freed++;

    public void Post(WorkerCommand command)
    {
        lock (_gate)
        {
            if (_ended)
            {
                return;
            }

            _commands.Add(command);
            _unanswered.Enqueue(command);
            if (!Holds)
            {
                AnswerAll();
            }
        }
    }

    /// <summary>Answers what was held back, and everything from now on.</summary>
    internal void Answer()
    {
        lock (_gate)
        {
            Holds = false;
            AnswerAll();
        }
    }

    /// <summary>Answers the oldest command alone.</summary>
    internal void AnswerOne()
    {
        lock (_gate)
        {
            CarryOut(_unanswered.Dequeue());
        }
    }

    /// <summary>The thread dies.</summary>
    internal void Die(string reason) => End(new InjectedFaultException(reason));

    internal void Break(RingSide side, string reason)
    {
        lock (_gate)
        {
            _rings[(int)side] = null;
            _report(new RingBroken(Generation, side, reason, Bases[(int)side]));
        }
    }

    /// <summary>Says something, whatever the worker's state.</summary>
    internal void Say(WorkerReport report) => _report(report);

    private void AnswerAll()
    {
        while (_unanswered.TryDequeue(out WorkerCommand? command))
        {
            CarryOut(command);
        }
    }

    private void CarryOut(WorkerCommand command)
    {
        switch (command)
        {
            case StartRing start:
                _rings[(int)start.Side] = start.Plan;
                _report(new CommandDone(Generation, command.Id));
                break;
            case UpdateRing update:
                _rings[(int)update.Side] = update.Plan;
                _report(new CommandDone(Generation, command.Id));
                break;
            case StopRing stop:
                _report(new RingStopped(Generation, command.Id, stop.Side, StopRing(stop.Side)));
                break;
            case InjectFault fault:
                Die(fault.Reason);
                break;
            case ExitWorker when !Hangs:
                End(null);
                break;
            case ExitWorker:
                break;
            default:
                _report(new CommandDone(Generation, command.Id));
                break;
        }
    }

    private uint? StopRing(RingSide side)
    {
        bool ran = _rings[(int)side] is not null;
        _rings[(int)side] = null;
        return ran ? Bases[(int)side] : null;
    }

    private void End(Exception? cause)
    {
        lock (_gate)
        {
            if (_ended)
            {
                return;
            }

            _ended = true;
            State = cause is null ? WorkerState.Exited : WorkerState.Failed;
            _unanswered.Clear();
            _report(new WorkerExited(Generation, cause, StopRing(RingSide.Rx), StopRing(RingSide.Tx)));
        }
    }
}
