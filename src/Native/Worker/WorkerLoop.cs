using System.Diagnostics;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Tmds.Linux;

namespace Ringmaster.Native.Worker;

/// <summary>
/// What the worker's thread does, from its first to its last instruction.
/// <list type="bullet">
/// <item>Busy: a transmit batch, a receive batch, commands if any, again. No system call but those that move frames; now
/// and then a glance at epoll, so that neither direction can starve the other.</item>
/// <item>Nothing to do: poll the rings for as long as the <see cref="PollWindow"/> says, if at all.</item>
/// <item>Then ask for the kicks that are needed, look once more, and sleep in epoll: kicks, the TAP's edges, the mailbox,
/// registered fds.</item>
/// </list>
/// Steady state allocates nothing, takes no lock, throws nothing.
/// </summary>
internal sealed partial class WorkerLoop
{
    private const int MaxEvents = 16;
    private const int RoundsBetweenGlances = 16;
    private const int Forever = -1;

    private readonly WorkerPlan _plan;
    private readonly Mailbox _mailbox;
    private readonly Action<WorkerReport> _report;
    private readonly Epoll _epoll = new();
    private readonly epoll_event[] _events = new epoll_event[MaxEvents];
    private readonly TapReadiness _tap = new();
    private readonly TapWatch _tapWatch;
    private readonly RingSlot _rx;
    private readonly RingSlot _tx;
    private readonly WatchedFds _watched;
    private readonly PollWindow _poll;
    private FdLease? _tapLease;
    private TapIo? _io;
    private SegmentMerger? _merger;
    private PumpFactory? _factory;
    private GuestView _view = new(GuestMemory.Empty, Log: null, Iotlb: Iotlb.Empty);
    private bool _exit;

    internal WorkerLoop(WorkerPlan plan, Mailbox mailbox, Action<WorkerReport> report)
    {
        _plan = plan;
        _mailbox = mailbox;
        _report = report;
        _rx = new RingSlot(RingSide.Rx, WorkerToken.RxKick, _epoll);
        _tx = new RingSlot(RingSide.Tx, WorkerToken.TxKick, _epoll);
        _watched = new WatchedFds(_epoll);
        _tapWatch = new TapWatch(_epoll, _tap);
        _poll = PollWindow.Of(plan.BusyPoll);
        _view.Memory.Retain();
    }

    /// <summary>Acquires what the thread needs, then works until told to exit. Throws on anything that ends the worker.</summary>
    internal void Run()
    {
        Acquire();
        int rounds = 0;
        while (!_exit)
        {
            bool progress = RunPump(_tx) | RunPump(_rx);
            if (_mailbox.HasPending)
            {
                RunCommands();
                continue;
            }

            if (progress)
            {
                _poll.Busy(_plan.Counters[WorkerCounter.TxFrames], _plan.Counters[WorkerCounter.RxFrames]);
            }
            else if (PollOrSleep())
            {
                rounds = 0;
                continue;
            }

            if (++rounds >= RoundsBetweenGlances)
            {
                rounds = 0;
                Dispatch(timeoutMilliseconds: 0);
            }
        }
    }

    /// <summary>Lets the thread go on where it waits to signal a front-end that does not let it. Any thread.</summary>
    internal void Free()
    {
        _rx.Free();
        _tx.Free();
    }

    /// <summary>Releases everything, in the reverse order, however the thread ended.</summary>
    /// <returns>Where the rings stood.</returns>
    internal (uint? Rx, uint? Tx) Release()
    {
        (uint?, uint?) bases = (_rx.Stop(), _tx.Stop());
        _watched.Clear();
        _merger?.Dispose();
        _io?.Dispose();
        _tapLease?.Dispose();
        _epoll.Dispose();
        _view.Inflight?.Release();
        _view.Log?.Release();
        _view.Memory.Release();
        return bases;
    }

    private void Acquire()
    {
        _tapLease = _plan.Tap.Fd.Lease();
        _io = TapIoFactory.Create(_plan, out string? fallback);
        _merger = _plan.Merge ? new SegmentMerger(_plan.Counters, ReportRefusal) : null;
        _factory = new PumpFactory(_io, _tap, _plan.Counters, _plan.HeldFor, _merger);
        _epoll.Add(_mailbox.Fd.Number, EpollEvents.In, (ulong)WorkerToken.Command).OrThrow("epoll_ctl(mailbox)");
        _tapWatch.Start(_tapLease);
        _report(new WorkerStarted(_plan.Generation, _io.Name, fallback));
    }

    private bool RunPump(RingSlot slot)
    {
        if (slot.Pump is not { } pump)
        {
            return false;
        }

        bool progress = pump.Run();
        if (progress)
        {
            pump.CallLog();
        }

        if (pump.Broken is not null || _view.Memory.Faulted)
        {
            GiveUp(slot, pump.Broken ?? "guest memory was cut from under the ring");
            return true;
        }

        if (!progress && pump.Stalled)
        {
            ReportMissing(slot);
        }

        return progress;
    }

    /// <summary>Nothing to do: glances at epoll, or sleeps in it. False when the rings had work after all.</summary>
    private bool PollOrSleep()
    {
        bool polls = _poll.On && _poll.Continues(Stopwatch.GetTimestamp());
        if (!polls && !_rx.Polled && !_tx.Polled)
        {
            return Sleep();
        }

        Dispatch(timeoutMilliseconds: 0);
        return true;
    }

    private bool Sleep()
    {
        bool work = _tx.Pump?.PrepareSleep() ?? false;
        work |= _rx.Pump?.PrepareSleep() ?? false;
        if (!work)
        {
            _plan.Counters.Add(WorkerCounter.Sleeps, 1);
            Dispatch(_rx.Pump?.SleepLimit ?? Forever);
            if (_poll.On)
            {
                _poll.Woke(Stopwatch.GetTimestamp());
            }
        }

        _tx.Pump?.Awake();
        _rx.Pump?.Awake();
        return !work;
    }

    private void Dispatch(int timeoutMilliseconds)
    {
        _tapWatch.Prepare(sleeps: timeoutMilliseconds != 0);
        int count = _epoll.Wait(_events, timeoutMilliseconds);
        for (int i = 0; i < count; i++)
        {
            OnEvent(Epoll.Token(in _events[i]), (EpollEvents)_events[i].events);
        }
    }

    private void OnEvent(ulong token, EpollEvents events)
    {
        switch ((WorkerToken)token)
        {
            case WorkerToken.Command:
                _mailbox.Awoke();
                break;
            case WorkerToken.Tap:
                _tapWatch.OnEdge(events);
                break;
            case WorkerToken.RxKick:
                OnKick(_rx, events);
                break;
            case WorkerToken.TxKick:
                OnKick(_tx, events);
                break;
            default:
                _watched.OnReadable(token);
                break;
        }
    }

    private void OnKick(RingSlot slot, EpollEvents events)
    {
        _plan.Counters.Add(WorkerCounter.Kicks, 1);
        if (!slot.TakeKick(hungUp: (events & (EpollEvents.HangUp | EpollEvents.Error)) != 0))
        {
            GiveUp(slot, "the kick fd is closed at its other end");
        }
    }

    private void ReportMissing(RingSlot slot)
    {
        if (slot.TakeMissing() is { } missing)
        {
            _report(new TranslationMissing(_plan.Generation, slot.Side, missing));
        }
    }

    private void ReportRefusal(string kind) => _report(new MergingRefused(_plan.Generation, kind));

    /// <summary>Stops a ring that can go no further, tells the front-end by its error fd and the actor by a report.</summary>
    private void GiveUp(RingSlot slot, string reason)
    {
        slot.SignalError();
        uint position = slot.Stop() ?? 0;
        _plan.Counters.Add(WorkerCounter.RingErrors, 1);
        _report(new RingBroken(_plan.Generation, slot.Side, reason, position));
    }
}
