using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.QueuePair;

/// <summary>A real worker: <see cref="QueuePairWorker"/> behind the actors' seam.</summary>
internal sealed class WorkerThread : IQueuePairWorker
{
    private readonly QueuePairWorker _worker;

    private WorkerThread(QueuePairWorker worker) => _worker = worker;

    /// <inheritdoc/>
    public long Generation => _worker.Generation;

    /// <inheritdoc/>
    public int? Cpu => _worker.Cpu;

    /// <inheritdoc/>
    public WorkerState State => _worker.State;

    /// <inheritdoc/>
    public WorkerCounters Counters => _worker.Counters;

    /// <inheritdoc/>
    public void Post(WorkerCommand command) => _worker.Post(command);

    /// <inheritdoc/>
    public void Free() => _worker.Free();

    /// <summary>Starts the thread: a <see cref="WorkerFactory"/>.</summary>
    internal static IQueuePairWorker Start(WorkerPlan plan, Action<WorkerReport> report) =>
        new WorkerThread(QueuePairWorker.Start(plan, report));
}
