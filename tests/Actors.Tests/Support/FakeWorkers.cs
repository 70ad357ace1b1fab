using Ringmaster.Actors.QueuePair;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Support;

/// <summary>Makes fake workers and keeps them all.</summary>
internal sealed class FakeWorkers
{
    private readonly Lock _gate = new();
    private readonly List<FakeWorker> _all = [];

    /// <summary>True: new workers hold their answers.</summary>
    internal bool Hold { get; set; }

    /// <summary>The next starts that fail.</summary>
    internal int FailingStarts { get; set; }

    internal IReadOnlyList<FakeWorker> All
    {
        get
        {
            lock (_gate)
            {
                return [.. _all];
            }
        }
    }

    internal IQueuePairWorker Start(WorkerPlan plan, Action<WorkerReport> report)
    {
        lock (_gate)
        {
            if (FailingStarts > 0)
            {
                FailingStarts--;
                throw new OutOfMemoryException("no thread to be had");
            }

            var worker = new FakeWorker(plan, report, Hold);
            _all.Add(worker);
            report(new WorkerStarted(plan.Generation, "fake", null));
            return worker;
        }
    }

    /// <summary>The latest worker of a pair; null before the first.</summary>
    internal FakeWorker? Latest(int pair) => Of(pair).LastOrDefault();

    /// <summary>All workers of a pair, oldest first.</summary>
    internal IReadOnlyList<FakeWorker> Of(int pair) =>
        [.. All.Where(worker => worker.Plan.Name.EndsWith($"/pair-{pair}", StringComparison.Ordinal))];
}
