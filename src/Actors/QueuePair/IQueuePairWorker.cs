using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.QueuePair;

/// <summary>
/// One worker thread, as the actors see it. Every member may be used from any thread and none of them blocks. The
/// thread is <see cref="QueuePairWorker"/>; tests put a fake in its place.
/// </summary>
public interface IQueuePairWorker
{
    /// <summary>Which worker of its pair this is.</summary>
    long Generation { get; }

    /// <summary>The CPU it is pinned to, or null.</summary>
    int? Cpu { get; }

    /// <summary>
    /// <see cref="WorkerState.Exited"/> and <see cref="WorkerState.Failed"/> mean that the thread touches nothing any
    /// more.
    /// </summary>
    WorkerState State { get; }

    /// <summary>The pair's counters; they outlive the worker.</summary>
    WorkerCounters Counters { get; }

    /// <summary>Puts a command into the worker's mailbox; dropped once the worker has ended.</summary>
    void Post(WorkerCommand command);

    /// <summary>Helps a worker on that a front-end keeps waiting; see <see cref="QueuePairWorker.Free"/>.</summary>
    void Free();
}

/// <summary>Starts a worker's thread and returns at once.</summary>
/// <param name="plan">What it needs for its whole life.</param>
/// <param name="report">Called on the worker's thread; must not block. <see cref="WorkerExited"/> is the last report.</param>
public delegate IQueuePairWorker WorkerFactory(WorkerPlan plan, Action<WorkerReport> report);
