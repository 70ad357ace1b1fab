using Akka.Actor;
using Ringmaster.Actors.QueuePair;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Device;

/// <content>What becomes of a pair: each event of its life, as its actor, its worker or a timer tells of it.</content>
internal sealed partial class PairSet
{
    internal void OnPairStarted(PairStarted message)
    {
        WorkerPair pair = _pairs[message.Pair];
        pair.Actor = message.Actor;
        if (pair.StartDelay > TimeSpan.Zero)
        {
            Timers.StartSingleTimer(new StartPair(pair.Index), new StartPair(pair.Index), pair.StartDelay);
            return;
        }

        StartWorker(pair);
    }

    internal void OnStartPair(StartPair message) => StartWorker(_pairs[message.Pair]);

    internal void OnWorkerCreated(WorkerCreated message)
    {
        WorkerPair pair = _pairs[message.Pair];
        if (message.Worker.Generation != pair.Generation)
        {
            return;
        }

        pair.Started(message.Worker);
        Reconcile(pair);
    }

    internal void OnReport(WorkerReported message)
    {
        WorkerPair pair = _pairs[message.Pair];
        if (message.Report.Generation != pair.Generation)
        {
            return;
        }

        switch (message.Report)
        {
            case WorkerStarted started:
                _log.WorkerRuns(pair, started);
                break;
            case MergingRefused refused:
                _log.MergingRefused(pair, refused);
                break;
            case RingStopped stopped:
                OnRingStopped(pair, stopped);
                break;
            case CommandRefused refused:
                _log.CommandRefused(pair, refused);
                Acknowledge(pair, refused);
                break;
            case CommandDone done:
                Acknowledge(pair, done);
                break;
            case TranslationMissing missing:
                TranslationMissing(missing.Missing);
                break;
            case RingBroken broken:
                OnRingBroken(pair, broken);
                break;
            case WorkerExited exited:
                OnExited(pair, exited);
                break;
            default:
                throw new InvalidOperationException($"unknown report {message.Report}");
        }
    }

    /// <summary>What supervision does with the actor whose worker failed.</summary>
    internal Directive OnFailure(WorkerFailedException failure)
    {
        WorkerPair pair = _pairs[failure.Pair];
        pair.Failed(failure.Message);
        if (pair.Budget.Spend(_context.System.Scheduler.MonotonicClock) is not { } delay)
        {
            return Directive.Stop;
        }

        pair.StartDelay = delay;
        _log.WorkerFailed(pair, failure.Message, _restart.MaxRestarts);
        return Directive.Restart;
    }

    internal void OnTerminated(IActorRef actor)
    {
        WorkerPair? pair = _pairs.FirstOrDefault(each => actor.Equals(each.Actor));
        if (pair is null)
        {
            return;
        }

        pair.Actor = null;
        CancelTimers(pair);
        pair.GiveUp();
        _log.PairGivenUp(pair);
        GiveUpRings(pair);
    }

    /// <summary>An actor has ended as told.</summary>
    internal void OnEnded(IActorRef actor)
    {
        foreach (WorkerPair pair in _pairs.Where(each => actor.Equals(each.Actor)))
        {
            pair.Actor = null;
        }
    }

    internal void OnSilent(PairSilent message)
    {
        WorkerPair pair = _pairs[message.Pair];
        if (message.Generation != pair.Generation || !pair.Busy)
        {
            return;
        }

        if (AwaitsPages())
        {
            AwaitAnswer(pair);
            return;
        }

        string reason = $"the worker gave no answer for {_restart.WorkerTimeout.TotalMilliseconds} ms";
        pair.FallSilent(reason);
        _log.WorkerSilent(pair);
        pair.Actor.Tell(new AbandonWorker(pair.Generation, reason));
        GiveUpRings(pair);
    }

    private void Acknowledge(WorkerPair pair, CommandDone done)
    {
        if (pair.Acknowledge(done.CommandId))
        {
            AwaitAnswer(pair);
        }
    }

    private void OnRingStopped(WorkerPair pair, RingStopped stopped)
    {
        _log.RingStopped(pair, stopped);
        NoteBase(pair, stopped.Side, stopped.Base);
        Acknowledge(pair, stopped);
    }

    private void OnRingBroken(WorkerPair pair, RingBroken broken)
    {
        _log.RingGivenUp(pair, broken);
        pair.RingBroke(broken.Side);
        NoteBase(pair, broken.Side, broken.Base);
        RingGivenUp(pair.Index, broken.Side, true);
        HealthChanged();
    }

    private void OnExited(WorkerPair pair, WorkerExited exited)
    {
        bool wasSilent = pair.Health == PairHealth.Silent;
        uint? rx = pair.LastWordIsLate(RingSide.Rx) ? null : exited.RxBase;
        uint? tx = pair.LastWordIsLate(RingSide.Tx) ? null : exited.TxBase;
        pair.Exited();
        AwaitAnswer(pair);
        NoteBase(pair, RingSide.Rx, rx);
        NoteBase(pair, RingSide.Tx, tx);
        if (wasSilent)
        {
            HealthChanged();
        }
    }

    private void NoteBase(WorkerPair pair, RingSide side, uint? index)
    {
        if (index is { } value)
        {
            RingStoppedAt(pair.Index, side, value);
        }
    }

    private void GiveUpRings(WorkerPair pair)
    {
        CancelTimers(pair);
        RingGivenUp(pair.Index, RingSide.Rx, false);
        RingGivenUp(pair.Index, RingSide.Tx, false);
        HealthChanged();
    }
}

/// <summary>The back-off of a pair is over.</summary>
internal sealed record StartPair(int Pair);

/// <summary>A worker's answer is overdue.</summary>
internal sealed record PairSilent(int Pair, long Generation);
