namespace Ringmaster.Actors.QueuePair;

/// <summary>
/// A worker's thread has ended by a failure. Thrown by the pair's actor so that supervision sees it; by then the thread
/// touches nothing any more.
/// </summary>
public sealed class WorkerFailedException : Exception
{
    /// <summary>Names the pair and the generation, and wraps what the worker died of.</summary>
    public WorkerFailedException(int pair, long generation, string reason, Exception? cause = null)
        : base(reason, cause)
    {
        Pair = pair;
        Generation = generation;
    }

    /// <summary>The pair's number.</summary>
    public int Pair { get; }

    /// <summary>Which worker of the pair it was.</summary>
    public long Generation { get; }
}
