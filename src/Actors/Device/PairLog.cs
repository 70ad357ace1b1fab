using Akka.Event;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Device;

/// <summary>What an operator reads of queue pairs: device and pair are in every line.</summary>
internal sealed class PairLog(ILoggingAdapter log, FrontendLog frontendLog, string device)
{
    private readonly Dictionary<(int Pair, RingSide Side), bool> _enabled = [];

    internal void WorkerRuns(WorkerPair pair, WorkerStarted started)
    {
        string verb = pair.Generation == 1 ? "started" : "restarted";
        string cpu = pair.Cpu is { } number ? $"CPU {number}" : "not pinned";
        log.Info(
            "device {Device} pair {Pair}: worker {Verb}, generation {Generation}, {Cpu}, {Engine}",
            device, pair.Index, verb, pair.Generation, cpu, started.Engine);
        if (started.Fallback is { } reason)
        {
            log.Info("device {Device} pair {Pair}: io_uring is not to be had: {Reason}", device, pair.Index, reason);
        }
    }

    internal void MergingRefused(WorkerPair pair, MergingRefused refused) => log.Warning(
        "device {Device} pair {Pair}: this kernel takes no merged frames of {Kind}; they go on as they are",
        device, pair.Index, refused.Kind);

    internal void WorkerFailed(WorkerPair pair, string reason, int allowed) => log.Warning(
        "device {Device} pair {Pair}: worker failed: {Reason}; restart {Restart} of {Allowed} in {Delay} ms",
        device, pair.Index, reason, pair.Budget.Spent, allowed, pair.StartDelay.TotalMilliseconds);

    internal void WorkerSilent(WorkerPair pair) => log.Error(
        "device {Device} pair {Pair}: {Reason}; it is replaced when its thread has ended",
        device, pair.Index, pair.LastFailure);

    internal void PairGivenUp(WorkerPair pair) => log.Error(
        "device {Device} pair {Pair}: given up until the front-end starts it again after {Failures} failures: {Reason}",
        device, pair.Index, pair.Failures, pair.LastFailure);

    internal void FreshChance(WorkerPair pair) =>
        frontendLog.Info("device {Device} pair {Pair}: gets a fresh chance", device, pair.Index);

    internal void CommandRefused(WorkerPair pair, CommandRefused refused) =>
        frontendLog.Warning("device {Device} pair {Pair}: {Reason}", device, pair.Index, refused.Reason);

    internal void RingStopped(WorkerPair pair, RingStopped stopped) => frontendLog.Info(
        "device {Device} pair {Pair}: {Ring} queue stopped at {Base}",
        device, pair.Index, stopped.Side, stopped.Base);

    internal void RingGivenUp(WorkerPair pair, RingBroken broken) => frontendLog.Warning(
        "device {Device} pair {Pair}: {Ring} queue given up until the front-end starts it again: {Reason}",
        device, pair.Index, broken.Side, broken.Reason);

    internal void Told(WorkerPair pair, IEnumerable<WorkerCommand> commands)
    {
        foreach (WorkerCommand command in commands)
        {
            Told(pair, command);
        }
    }

    private static string StateOf(RingPlan plan) => plan.Enabled ? "enabled" : "disabled";

    private void Told(WorkerPair pair, WorkerCommand command)
    {
        switch (command)
        {
            case StartRing start:
                _enabled[(pair.Index, start.Side)] = start.Plan.Enabled;
                frontendLog.Info(
                    "device {Device} pair {Pair}: {Ring} queue started, {Size} descriptors, {State}",
                    device, pair.Index, start.Side, start.Plan.Size, StateOf(start.Plan));
                break;
            case UpdateRing update:
                Changed(pair, update);
                break;
            case ReplaceMemory replace:
                log.Debug(
                    "device {Device} pair {Pair}: {Regions} regions of memory",
                    device, pair.Index, replace.Memory.Regions.Count);
                break;
        }
    }

    /// <summary>Other changes than on and off are many: a guest that masks interrupts changes the call fd each time.</summary>
    private void Changed(WorkerPair pair, UpdateRing update)
    {
        const string Line = "device {Device} pair {Pair}: {Ring} queue changed, {State}";
        bool switched = _enabled[(pair.Index, update.Side)] != update.Plan.Enabled;
        _enabled[(pair.Index, update.Side)] = update.Plan.Enabled;
        if (switched)
        {
            frontendLog.Info(Line, device, pair.Index, update.Side, StateOf(update.Plan));
        }
        else
        {
            log.Debug(Line, device, pair.Index, update.Side, StateOf(update.Plan));
        }
    }
}
