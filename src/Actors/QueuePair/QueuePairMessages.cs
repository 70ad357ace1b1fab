using Akka.Actor;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.QueuePair;

/// <summary>To the parent: the actor of a pair is up, for the first time or again, and has no worker.</summary>
/// <param name="Pair">The pair's number.</param>
/// <param name="Actor">The actor; a restart keeps it.</param>
public sealed record PairStarted(int Pair, IActorRef Actor);

/// <summary>From the parent: start a worker. Ignored while there is one.</summary>
/// <param name="Plan">Carries the generation; never one that was used before.</param>
public sealed record StartWorker(WorkerPlan Plan);

/// <summary>To the parent: the worker's thread was started.</summary>
/// <param name="Pair">The pair's number.</param>
/// <param name="Worker">The worker, for commands that need no order with the actor's own and for queries.</param>
public sealed record WorkerCreated(int Pair, IQueuePairWorker Worker);

/// <summary>From the parent: post commands to the worker of one generation; dropped when that is not the present one.</summary>
/// <param name="Generation">The worker that is meant.</param>
/// <param name="Commands">In this order.</param>
public sealed record PostCommands(long Generation, IReadOnlyList<WorkerCommand> Commands);

/// <summary>To the parent: what the worker reported. The report carries its generation.</summary>
/// <param name="Pair">The pair's number.</param>
/// <param name="Report">The report.</param>
public sealed record WorkerReported(int Pair, WorkerReport Report);

/// <summary>
/// From the parent: the worker does not answer. It is told to exit; if it ever does, that counts as its failure.
/// </summary>
/// <param name="Generation">The worker that is meant.</param>
/// <param name="Reason">For the operator.</param>
public sealed record AbandonWorker(long Generation, string Reason);

/// <summary>From the parent: end the worker and then stop.</summary>
public sealed record EndPair
{
    /// <summary>The only one.</summary>
    public static readonly EndPair Instance = new();

    private EndPair()
    {
    }
}
