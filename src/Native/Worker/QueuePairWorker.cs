using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Worker;

/// <summary>
/// One queue pair's dedicated thread and the surface through which others speak to it. Every member may be used from
/// any thread and none of them blocks.
/// </summary>
/// <remarks>
/// <list type="bullet">
/// <item>The thread alone touches the two rings and the TAP queue. It starts with nothing but its <see cref="WorkerPlan"/>;
/// memory and rings come as commands.</item>
/// <item>Whatever ends it, its last act is to report <see cref="WorkerExited"/>, after everything it held is released: so a
/// successor can never overlap it on a ring.</item>
/// </list>
/// </remarks>
public sealed class QueuePairWorker
{
    private readonly WorkerPlan _plan;
    private readonly Action<WorkerReport> _report;
    private readonly Mailbox _mailbox = new();
    private volatile WorkerLoop? _loop;
    private int _state = (int)WorkerState.Starting;

    private QueuePairWorker(WorkerPlan plan, Action<WorkerReport> report)
    {
        _plan = plan;
        _report = report;
    }

    /// <summary>The thread's name, for example <c>net0/pair-1</c>.</summary>
    public string Name => _plan.Name;

    /// <summary>Which of the pair's workers this is.</summary>
    public long Generation => _plan.Generation;

    /// <summary>The CPU that the thread is pinned to, or null.</summary>
    public int? Cpu => _plan.Cpu;

    /// <summary>What the worker is doing.</summary>
    public WorkerState State => (WorkerState)Volatile.Read(ref _state);

    /// <summary>The queue pair's counters; exact, see <see cref="WorkerCounters"/>.</summary>
    public WorkerCounters Counters => _plan.Counters;

    /// <summary>Starts the thread and returns at once. A failure of the set-up comes as <see cref="WorkerExited"/>.</summary>
    /// <param name="plan">What the worker works with.</param>
    /// <param name="report">Called on the worker's thread with every report; must not block.</param>
    public static QueuePairWorker Start(WorkerPlan plan, Action<WorkerReport> report)
    {
        var worker = new QueuePairWorker(plan, report);
        var thread = new Thread(worker.Main, maxStackSize: 512 * 1024) { IsBackground = true, Name = plan.Name };
        thread.Start();
        return worker;
    }

    /// <summary>Hands a command to the worker. After the end it is dropped: <see cref="WorkerExited"/> was the answer.</summary>
    public void Post(WorkerCommand command) => _mailbox.Post(command);

    /// <summary>
    /// Lets the thread go on where a call or error fd that takes no signal has it wait (see <see cref="Doorbell"/>).
    /// For a worker that gives no answer; it may be needed again for the next signal.
    /// </summary>
    public void Free() => _loop?.Free();

    private void Main()
    {
        Exception? cause = null;
        (uint? Rx, uint? Tx) bases = default;
        WorkerLoop? loop = null;
        try
        {
            ThreadAffinity.Name(_plan.Name);
            if (_plan.Cpu is int cpu)
            {
                ThreadAffinity.Pin(cpu).OrThrow($"sched_setaffinity(CPU {cpu})");
            }

            loop = new WorkerLoop(_plan, _mailbox, _report);
            _loop = loop;
            Volatile.Write(ref _state, (int)WorkerState.Running);
            loop.Run();
        }
        catch (Exception failure)
        {
            // A thread cannot fail an actor: whatever it is, it is handed on, and supervision decides.
            cause = failure;
        }
        finally
        {
            bases = loop?.Release() ?? default;
            _mailbox.Dispose();
        }

        Volatile.Write(ref _state, (int)(cause is null ? WorkerState.Exited : WorkerState.Failed));
        _report(new WorkerExited(_plan.Generation, cause, bases.Rx, bases.Tx));
    }
}

/// <summary>The failure that <see cref="InjectFault"/> asks for.</summary>
public sealed class InjectedFaultException(string reason) : Exception(reason);
