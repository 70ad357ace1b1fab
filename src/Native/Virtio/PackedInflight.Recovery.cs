using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Virtio;

/// <content>Taking up a queue that another back-end left. Bounded by the ring's size, whatever stands there.</content>
internal sealed unsafe partial class PackedInflight
{
    private const DescriptorFlags StateBits = DescriptorFlags.Available | DescriptorFlags.Used;

    /// <summary>Takes up a queue, if anything was written in it.</summary>
    /// <param name="region">Retained by the worker.</param>
    /// <param name="queue">The ring's queue in it.</param>
    /// <param name="size">The ring's size.</param>
    /// <param name="ring">The descriptor ring.</param>
    /// <param name="inflight">The queue's keeper; null when nothing was written.</param>
    /// <returns>Null, or why the queue cannot be understood.</returns>
    internal static string? TryTakeUp(
        InflightRegion region, byte* queue, int size, PackedDescriptor* ring, out PackedInflight? inflight)
    {
        inflight = null;
        var found = new PackedInflight(region, queue, size);
        ushort version = Volatile.Read(ref found._queue->Version);
        if (version == 0)
        {
            return null;
        }

        if (version != KnownVersion)
        {
            return $"version {version} of the in-flight region is not known";
        }

        inflight = found;
        return found.TrySettle(ring) && found.TryFindPending()
            ? null
            : "the in-flight region makes no sense";
    }

    /// <summary>
    /// Writes the pending chains' descriptors as a driver would have done at the used position and after it, each chain with
    /// exactly as many slots as it has states.
    /// </summary>
    internal void CopyPending(Span<PackedDescriptor> ring)
    {
        int position = Position;
        foreach (PendingChain chain in Pending)
        {
            ushort state = chain.State;
            for (int left = chain.Slots; left > 0; left--)
            {
                PackedDescriptorState copy = _states[state];
                DescriptorFlags flags = copy.Flags & (DescriptorFlags.Write | DescriptorFlags.Indirect);
                flags |= left > 1 ? DescriptorFlags.Next : DescriptorFlags.None;
                flags |= PackedPosition.Wrap(position, _size) ? DescriptorFlags.Available : DescriptorFlags.Used;
                ref PackedDescriptor slot = ref ring[PackedPosition.Index(position, _size)];
                slot.Address = copy.Address;
                slot.Tail = new PackedTail(copy.Length, copy.Id, flags);
                position = PackedPosition.Advance(position, 1, _size);
                state = _next[state];
            }
        }
    }

    /// <summary>Commits the batch under way, or takes it back.</summary>
    private bool TrySettle(PackedDescriptor* ring)
    {
        ulong used = Volatile.Read(ref _queue->Used);
        ushort free = Volatile.Read(ref _queue->FreeHead);
        ushort oldFree = Volatile.Read(ref _queue->OldFreeHead);
        if (!TryDecode((ushort)used, (byte)(used >> 32), out int now)
            || !TryDecode((ushort)(used >> 16), (byte)(used >> 40), out int old))
        {
            return false;
        }

        if (now != old && !IsAvailable(ring, old))
        {
            Position = now;
            _free = free;
            Volatile.Write(ref _queue->OldFreeHead, free);
        }
        else
        {
            Position = old;
            _free = oldFree;
            Volatile.Write(ref _queue->FreeHead, oldFree);
        }

        Stored();
        WriteUsed(Position, Position);
        return true;
    }

    private bool TryDecode(ushort index, byte wrap, out int position)
    {
        position = wrap != 0 ? index : index + _size;
        return index < _size;
    }

    private bool IsAvailable(PackedDescriptor* ring, int position)
    {
        PackedTail tail = new(Volatile.Read(ref *(ulong*)&ring[PackedPosition.Index(position, _size)].Tail));
        DescriptorFlags available = PackedPosition.Wrap(position, _size) ? DescriptorFlags.Available : DescriptorFlags.Used;
        return (tail.Flags & StateBits) == available;
    }

    /// <summary>Every state must be free, or belong to one chain in flight.</summary>
    private bool TryFindPending()
    {
        bool[] taken = new bool[_size];
        int left = _size;
        for (int i = 0; i < _size; i++)
        {
            _next[i] = Volatile.Read(ref _states[i].Next);
        }

        for (ushort state = _free; state < _size; state = _next[state])
        {
            if (!TryClaim(taken, state, ref left))
            {
                return false;
            }

            Volatile.Write(ref _states[state].Inflight, 0);
            Stored();
        }

        ushort[] heads = [.. Enumerable.Range(0, _size).Where(i => !taken[i] && IsMarked(i)).Select(i => (ushort)i)];
        ulong[] counters = [.. heads.Select(head => CounterOf(head))];
        Array.Sort(counters, heads);
        _counter = counters.Length == 0 ? 0 : counters[^1] + 1;
        _pending = new PendingChain[heads.Length];
        for (int i = 0; i < heads.Length; i++)
        {
            ushort slots = Volatile.Read(ref _states[heads[i]].Count);
            if (!TryClaimChain(taken, heads[i], slots, ref left))
            {
                return false;
            }

            _pending[i] = new PendingChain(heads[i], slots);
        }

        return left == 0;
    }

    private bool IsMarked(int state) => Volatile.Read(ref _states[state].Inflight) != 0;

    private ulong CounterOf(int state) => Volatile.Read(ref _states[state].Counter);

    private bool TryClaimChain(bool[] taken, ushort head, int slots, ref int left)
    {
        ushort state = head;
        for (int i = 0; i < slots; i++)
        {
            if (state >= _size || !TryClaim(taken, state, ref left))
            {
                return false;
            }

            _last[head] = state;
            state = _next[state];
        }

        return slots > 0;
    }

    private static bool TryClaim(bool[] taken, int state, ref int left)
    {
        bool free = !taken[state];
        taken[state] = true;
        left--;
        return free;
    }
}
