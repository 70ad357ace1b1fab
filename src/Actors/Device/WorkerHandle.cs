using Ringmaster.Actors.QueuePair;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Device;

/// <summary>
/// One pair's worker, for the rest of the back-end: what it is, how it does, and a door to its loop. No lock is taken by any
/// member. A handle belongs to one generation; ask anew after a restart.
/// </summary>
public sealed class WorkerHandle
{
    private readonly IQueuePairWorker? _worker;

    internal WorkerHandle(string name, WorkerPair pair)
    {
        Name = name;
        Pair = pair.Index;
        Generation = pair.Worker?.Generation ?? 0;
        Health = pair.Health;
        Counters = pair.Counters;
        _worker = pair.Worker;
    }

    /// <summary>The thread's name: <c>net0/pair-1</c>.</summary>
    public string Name { get; }

    /// <summary>The pair's number.</summary>
    public int Pair { get; }

    /// <summary>Which worker of the pair this is; 0 before the first.</summary>
    public long Generation { get; }

    /// <summary>How the pair fared when the handle was made.</summary>
    public PairHealth Health { get; }

    /// <summary>The CPU that the thread is pinned to, or null.</summary>
    public int? Cpu => _worker?.Cpu;

    /// <summary>What the thread does at this moment; <see cref="WorkerState.Exited"/> before the first.</summary>
    public WorkerState State => _worker?.State ?? WorkerState.Exited;

    /// <summary>The pair's counters, which outlive its workers, with what was carried over from another device.</summary>
    public PairCounters Counters { get; }

    /// <summary>
    /// Registers one more fd on the worker's loop, until <see cref="Unwatch"/> or the worker's end. Lost when the worker has
    /// ended meanwhile.
    /// </summary>
    /// <param name="fd">Watched for input, level-triggered; stays the caller's.</param>
    /// <param name="onReadable">
    /// Called on the worker's thread; must drain the fd and must not block; a throw fails the worker.
    /// </param>
    /// <returns>False when the pair has no worker.</returns>
    public bool Watch(OwnedFd fd, Action onReadable) => Post(new WatchFd(fd, onReadable));

    /// <summary>Takes back a <see cref="Watch"/>.</summary>
    public bool Unwatch(OwnedFd fd) => Post(new UnwatchFd(fd));

    private bool Post(WorkerCommand command)
    {
        if (_worker is null || _worker.State is WorkerState.Exited or WorkerState.Failed)
        {
            return false;
        }

        _worker.Post(command);
        return true;
    }
}
