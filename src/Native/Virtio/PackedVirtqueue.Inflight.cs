using Ringmaster.Native.Memory;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Virtio;

/// <content>
/// The in-flight region. Chains that a back-end before this one had in flight stand for the first ones from the used position on:
/// they are read from a ring of our own in the place of the guest's, until they have been returned.
/// </content>
internal unsafe partial struct PackedVirtqueue
{
    /// <summary>Takes up the ring's queue in the region, or the plan's base where there is none.</summary>
    private string? TakeUp(RingPlan plan, GuestView view)
    {
        byte* queue = QueueOf(plan, view, out string? problem);
        if (queue != null)
        {
            problem = PackedInflight.TryTakeUp(view.Inflight!, queue, _size, _descriptors, out _inflight);
        }

        if (problem is not null)
        {
            return problem;
        }

        if (_inflight is null)
        {
            problem = TryFindStart(plan, out int start);
            SetPosition(start);
            _inflight = problem is null && queue != null ? PackedInflight.Begin(view.Inflight!, queue, _size, start) : null;
            return problem;
        }

        SetPosition(_inflight.Position);
        if (_inflight.Pending.Length > 0)
        {
            // Pinned, so the pointer stays good while the array is referred to.
            _resubmitted = GC.AllocateArray<PackedDescriptor>(_size, pinned: true);
            _inflight.CopyPending(_resubmitted);
            ReadResubmitted();
            TakeBackUsed(PendingEnd());
            CopyFromRing(PendingEnd());
        }

        return null;
    }

    /// <summary>Takes over from the same ring before a change of memory, log, addresses or region.</summary>
    private string? CarryInflightOn(in PackedVirtqueue before, RingPlan plan, GuestView view)
    {
        byte* queue = QueueOf(plan, view, out string? problem);
        if (queue == null)
        {
            return problem ?? (before._resubmitted is null ? null : "the in-flight region is gone, with chains in flight");
        }

        _resubmitted = before._resubmitted;
        if (_resubmitted is not null)
        {
            ReadResubmitted();
        }

        if (before._inflight is { } known && known.Region == view.Inflight)
        {
            _inflight = known;
            known.Forget();
            return null;
        }

        ReadOnlySpan<PackedInflight.PendingChain> pending = before._inflight is null ? [] : before._inflight.Pending;
        _inflight = PackedInflight.Begin(view.Inflight!, queue, _size, _published, _source, pending);
        return null;
    }

    private readonly byte* QueueOf(RingPlan plan, GuestView view, out string? problem)
    {
        problem = null;
        return view.Inflight is null ? null : view.Inflight.QueueOf(plan.Index, _size, packed: true, out problem);
    }

    private void ReadResubmitted() =>
        _source = (PackedDescriptor*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref _resubmitted![0]);

    private readonly int PendingEnd()
    {
        int position = _published;
        foreach (PackedInflight.PendingChain chain in _inflight!.Pending)
        {
            position = PackedPosition.Advance(position, chain.Slots, _size);
        }

        return position;
    }

    /// <summary>
    /// A batch that was cut off before its first used descriptor left used ones behind that. The driver would take them for ours
    /// once it comes there, and see their chains a second time when they are returned: what stood there is put back.
    /// </summary>
    private readonly void TakeBackUsed(int end)
    {
        for (int position = _published; position != end; position = PackedPosition.Advance(position, 1, _size))
        {
            int index = PackedPosition.Index(position, _size);
            DescriptorFlags used = PackedPosition.Wrap(position, _size) ? StateBits : DescriptorFlags.None;
            PackedTail tail = new(Volatile.Read(ref TailOf(index)));
            if ((tail.Flags & StateBits) == used)
            {
                _descriptors[index].Address = _resubmitted![index].Address;
                Volatile.Write(ref TailOf(index), _resubmitted[index].Tail.Word);
                _inflight!.Stored();
                if (_log.On)
                {
                    _log.MarkDescriptors((ulong)index * PackedDescriptor.Size, PackedDescriptor.Size);
                }
            }
        }
    }

    /// <summary>
    /// Copies what the driver has made available meanwhile behind the pending chains. Slot by slot in the driver's order, each
    /// word that can make a chain available before the rest of that chain.
    /// </summary>
    private readonly void CopyFromRing(int position)
    {
        for (int left = _size - PackedPosition.Distance(_published, position, _size); left > 0; left--)
        {
            int index = PackedPosition.Index(position, _size);
            ref PackedDescriptor slot = ref _resubmitted![index];

            // Acquire: the address, and the slots after this one, are read after the word that makes them available.
            slot.Tail = new PackedTail(Volatile.Read(ref TailOf(index)));
            slot.Address = _descriptors[index].Address;
            position = PackedPosition.Advance(position, 1, _size);
        }
    }

    /// <summary>True when a chain is available at a position where none was the last time.</summary>
    private readonly bool FindBehindPending(int position)
    {
        if (_resubmitted is null)
        {
            return false;
        }

        PackedTail tail = new(Volatile.Read(ref TailOf(PackedPosition.Index(position, _size))));
        if (!IsAvailable(tail, position))
        {
            return false;
        }

        CopyFromRing(position);
        return true;
    }

    private void SettleInflight()
    {
        _inflight!.Settle();
        if (_resubmitted is not null && _inflight.Pending.IsEmpty)
        {
            // What is popped and not returned yet stands in the guest's ring as well.
            _source = _descriptors;
            _resubmitted = null;
        }
    }
}
