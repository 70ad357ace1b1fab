using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Worker;

/// <summary>
/// One side of a queue pair as its worker holds it: the plan, the pump that runs it, and the kick fd in the worker's
/// epoll set. Acquires in <see cref="Start"/>, releases in <see cref="Stop"/>. The worker's thread only.
/// </summary>
internal sealed class RingSlot(RingSide side, WorkerToken kickToken, Epoll epoll)
{
    private RingPlan? _plan;
    private FdLease? _kick;

    internal RingSide Side { get; } = side;

    /// <summary>The running ring, or null.</summary>
    internal RingPump? Pump { get; private set; }

    /// <summary>True for a ring whose driver sends no kicks at all (SET_VRING_KICK without an fd): it must be polled.</summary>
    internal bool Polled => Pump is not null && _kick is null;

    /// <summary>Takes up a ring that does not run.</summary>
    /// <returns>Null on success, else why it cannot run; nothing is held then.</returns>
    internal string? Start(RingPlan plan, GuestView view, PumpFactory factory)
    {
        string? problem = factory.Create(Side, plan, view, out RingPump? pump);
        if (problem is not null)
        {
            return problem;
        }

        Pump = pump;
        _plan = plan;
        problem = WatchKick(plan.Kick);
        if (problem is not null)
        {
            Stop();
            return problem;
        }

        Pump!.Awake();
        return null;
    }

    /// <summary>Changes a running ring; afterwards <see cref="RingPump.Broken"/> may be set.</summary>
    /// <returns>Null, or why the ring cannot go on.</returns>
    internal string? Update(RingPlan plan, GuestView view)
    {
        bool otherKick = !ReferenceEquals(plan.Kick, _plan!.Kick);
        _plan = plan;
        Pump!.Update(plan, view);
        return Pump.Broken ?? (otherKick ? WatchKick(plan.Kick) : null);
    }

    /// <summary>The same plan on another memory table or log.</summary>
    internal string? ChangeView(GuestView view) => Update(_plan!, view);

    /// <summary>Lets go of the ring.</summary>
    /// <returns>Where it stood, or null when it did not run.</returns>
    internal uint? Stop()
    {
        uint? position = Pump?.Base;
        UnwatchKick();
        Pump?.Dispose();
        Pump = null;
        _plan = null;
        return position;
    }

    /// <summary>Takes a kick. Returns false when the kick fd is of no use any more.</summary>
    internal bool TakeKick(bool hungUp)
    {
        if (_kick is null)
        {
            return true;
        }

        bool kicked = EventFd.Drain(_kick.Number) != 0;
        return kicked || !hungUp;
    }

    /// <summary>Signals the error fd of a ring that is given up (vhost-user SET_VRING_ERR).</summary>
    internal void SignalError() => SignalError(_plan);

    internal static void SignalError(RingPlan? plan)
    {
        if (plan?.Error is { IsClosed: false } error)
        {
            using FdLease lease = error.Lease();
            EventFd.Signal(lease.Number);
        }
    }

    private string? WatchKick(OwnedFd? kick)
    {
        UnwatchKick();
        if (kick is null)
        {
            return null;
        }

        _kick = kick.Lease();
        IoResult result = epoll.Add(_kick.Number, EpollEvents.In, (ulong)kickToken);
        if (result.Ok)
        {
            return null;
        }

        _kick.Dispose();
        _kick = null;
        return $"the kick fd cannot be waited on: {Errno.Describe(result.Error)}";
    }

    private void UnwatchKick()
    {
        if (_kick is not null)
        {
            epoll.Remove(_kick.Number);
            _kick.Dispose();
            _kick = null;
        }
    }
}
