using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <summary>
/// One side of a queue pair as its worker holds it: the plan, the pump that runs it, and the kick fd in the worker's
/// epoll set. Acquires in <see cref="Start"/>, releases in <see cref="Stop"/>. The worker's thread only, but for
/// <see cref="Free"/>.
/// </summary>
internal sealed class RingSlot(RingSide side, WorkerToken kickToken, Epoll epoll)
{
    private RingPlan? _plan;
    private PumpFactory? _factory;
    private IotlbMiss? _missing;
    private FdLease? _kick;

    internal RingSide Side { get; } = side;

    /// <summary>The running ring, or null.</summary>
    internal RingPump? Pump { get; private set; }

    /// <summary>True for a ring whose driver sends no kicks at all (SET_VRING_KICK without an fd): it must be polled.</summary>
    internal bool Polled => Pump is not null && _kick is null;

    /// <summary>True from <see cref="Start"/> to <see cref="Stop"/>, also while it awaits the translation of its parts.</summary>
    internal bool Active => _plan is not null;

    /// <summary>Why a ring that waited cannot run after all, or null.</summary>
    internal string? Problem { get; private set; }

    /// <summary>
    /// Takes up a ring that does not run. Where the IOTLB lacks a part of the ring it waits for that, see
    /// <see cref="TakeMissing"/>.
    /// </summary>
    /// <returns>Null on success, else why it cannot run; it is to be stopped then.</returns>
    internal string? Start(RingPlan plan, GuestView view, PumpFactory factory)
    {
        _plan = plan;
        _factory = factory;
        GuestView seen = Seen(plan, view);
        _missing = RingTranslation.FirstMissing(plan, seen);
        if (_missing is not null)
        {
            return null;
        }

        string? problem = factory.Create(Side, plan, seen, out RingPump? pump);
        if (problem is not null)
        {
            return problem;
        }

        Pump = pump;
        problem = WatchKick(plan.Kick);
        if (problem is null)
        {
            Pump!.Awake();
            Pump.CallForPredecessor();
        }

        return problem;
    }

    /// <summary>Changes a running ring; afterwards <see cref="RingPump.Broken"/> may be set.</summary>
    /// <returns>Null, or why the ring cannot go on.</returns>
    internal string? Update(RingPlan plan, GuestView view)
    {
        if (Pump is null)
        {
            return Start(plan with { Base = _plan!.Base }, view, _factory!);
        }

        GuestView seen = Seen(plan, view);
        if (RingTranslation.FirstMissing(plan, seen) is { } missing)
        {
            Suspend(plan, missing);
            return null;
        }

        bool otherKick = !ReferenceEquals(plan.Kick, _plan!.Kick);
        _plan = plan;
        Pump.Update(plan, seen);
        return Pump.Broken ?? (otherKick ? WatchKick(plan.Kick) : null);
    }

    /// <summary>The same plan on another memory table, log or IOTLB; afterwards <see cref="Problem"/> may be set.</summary>
    internal void ChangeView(GuestView view) => Problem = Update(_plan!, view);

    /// <summary>Gives the translation that the ring waits for, once.</summary>
    internal IotlbMiss? TakeMissing()
    {
        IotlbMiss? missing = _missing ?? Pump?.TakeMissing();
        _missing = null;
        return missing;
    }

    /// <summary>Lets go of the ring.</summary>
    /// <returns>Where it stood, or null when it did not run.</returns>
    internal uint? Stop()
    {
        uint? position = Pump?.Base ?? _plan?.Base;
        UnwatchKick();
        Pump?.Dispose();
        Pump = null;
        _plan = null;
        _missing = null;
        Problem = null;
        return position;
    }

    /// <summary>Takes a kick. Returns false when the kick fd is of no use any more.</summary>
    internal bool TakeKick(bool hungUp)
    {
        if (_kick is null)
        {
            return true;
        }

        IoResult kick = EventFd.Take(_kick.Number);
        bool ended = kick is { Ok: true, Count: 0 };
        return !ended && (kick.Ok || !hungUp);
    }

    /// <summary>Signals the error fd of a ring that is given up (vhost-user SET_VRING_ERR).</summary>
    internal void SignalError()
    {
        if (_plan?.Error is { IsClosed: false } error)
        {
            using var bell = new Doorbell(error);
            bell.Ring();
        }
    }

    /// <summary>Lets the worker go on where it waits to signal something of this ring. Any thread.</summary>
    internal void Free()
    {
        Pump?.Free();
        if (_plan?.Error is { } error)
        {
            Doorbell.Free(error);
        }
    }

    /// <summary>A part of the ring has no translation any more: nothing of it may be touched until it is back.</summary>
    private void Suspend(RingPlan plan, IotlbMiss missing)
    {
        uint position = Stop()!.Value;
        _plan = plan with { Base = position };
        _missing = missing;
    }

    /// <summary>What the ring sees: an IOTLB only where the features say so, and for the access of its side.</summary>
    private GuestView Seen(RingPlan plan, GuestView view) => plan.Features.HasFlag(VirtioFeatures.AccessPlatform)
        ? view with { BufferAccess = Side == RingSide.Rx ? IotlbAccess.WriteOnly : IotlbAccess.ReadOnly }
        : view with { Iotlb = null };

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
