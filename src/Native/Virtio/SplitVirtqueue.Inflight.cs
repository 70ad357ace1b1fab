using Ringmaster.Native.Memory;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Virtio;

/// <content>
/// The in-flight region. Chains that a back-end before this one had in flight stand for the first ones from the used index on:
/// their heads are in a table of our own in the place of the available ring's, until they have been returned.
/// </content>
internal unsafe partial struct SplitVirtqueue
{
    /// <summary>Takes up the ring's queue in the region, if there is one.</summary>
    private string? TakeUpInflight(RingPlan plan, GuestView view)
    {
        byte* queue = QueueOf(plan, view, out string? problem);
        if (queue == null)
        {
            return problem;
        }

        problem = SplitInflight.TryTakeUp(view.Inflight!, queue, _size, _published, out _inflight, out ushort[] heads);
        if (problem is not null || heads.Length == 0)
        {
            return problem;
        }

        int available = (ushort)(Volatile.Read(ref AvailableIndex) - _published);
        if (available > _size || heads.Length > available)
        {
            return $"{heads.Length} chains are said to be in flight, and {available} were made available";
        }

        // Pinned, so the pointer stays good while the array is referred to.
        _resubmitted = GC.AllocateUninitializedArray<ushort>(_size, pinned: true);
        for (int i = 0; i < heads.Length; i++)
        {
            _resubmitted[(_published + i) & _mask] = heads[i];
        }

        ReadResubmitted();
        return null;
    }

    /// <summary>Takes over from the same ring before a change of memory, log, addresses or region.</summary>
    private string? CarryInflightOn(in SplitVirtqueue before, RingPlan plan, GuestView view)
    {
        byte* queue = QueueOf(plan, view, out string? problem);
        if (queue == null)
        {
            return problem ?? (before._resubmitted is null ? null : "the in-flight region is gone, with chains in flight");
        }

        _resubmitted = before._resubmitted;
        if (before._inflight is { } known && known.Region == view.Inflight)
        {
            _inflight = known;
            known.Forget();
        }
        else
        {
            _inflight = SplitInflight.Begin(view.Inflight!, queue, _size, _published, PendingHeads(in before));
        }

        if (_resubmitted is not null)
        {
            ReadResubmitted();
        }

        return null;
    }

    private static ushort[] PendingHeads(in SplitVirtqueue before)
    {
        var heads = new ushort[before._resubmitted is null ? 0 : before._inflight!.Pending];
        for (int i = 0; i < heads.Length; i++)
        {
            heads[i] = before._resubmitted![(before._published + i) & before._mask];
        }

        return heads;
    }

    private readonly byte* QueueOf(RingPlan plan, GuestView view, out string? problem)
    {
        problem = null;
        return view.Inflight is null ? null : view.Inflight.QueueOf(plan.Index, _size, packed: false, out problem);
    }

    private void ReadResubmitted()
    {
        _heads = (ushort*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref _resubmitted![0]);
        _availableSeen = (ushort)(_published + _inflight!.Pending);
    }

    /// <summary>New entries of the available ring, behind what stands in our own table.</summary>
    private readonly void CopyHeads(ushort until)
    {
        for (ushort at = _availableSeen; at != until; at++)
        {
            _resubmitted![at & _mask] = _available[2 + (at & _mask)];
        }
    }

    private void SettleInflight()
    {
        _inflight!.Settle(_published);
        if (_resubmitted is not null && _inflight.Pending == 0)
        {
            // What is popped and not returned yet stands in the available ring as well.
            _heads = _available + 2;
            _resubmitted = null;
        }
    }
}
