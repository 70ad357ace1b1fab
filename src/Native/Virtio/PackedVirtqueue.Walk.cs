namespace Ringmaster.Native.Virtio;

/// <content>The walk over a chain's descriptors. It needs no barrier beyond the one by which the chain was found.</content>
internal unsafe partial struct PackedVirtqueue
{
    /// <summary>
    /// Walks a chain from its head to the descriptor without Next, which tells its id, whether or not its buffers are legal: a
    /// bad chain must be stepped over as a whole. One that does not end within the slots that can be the driver's has no
    /// end, so the ring is broken.
    /// </summary>
    private PopStatus Walk(PackedTail tail, VectorSpace space, bool deviceWrites, ref Chain chain)
    {
        int index = PackedPosition.Index(_next, _size);
        bool legal = true;
        for (int left = _size - PackedPosition.Distance(_published, _next, _size); left > 0; left--)
        {
            legal = legal && Append(_source[index].Address, tail, space, deviceWrites, in chain);
            chain.Slots++;
            if ((tail.Flags & DescriptorFlags.Next) == 0)
            {
                chain.Id = tail.Id;
                return legal ? PopStatus.Popped : PopStatus.BadChain;
            }

            index = index + 1 == _size ? 0 : index + 1;
            tail = _source[index].Tail;
        }

        return PopStatus.BrokenRing;
    }

    /// <summary>Appends one descriptor's buffer, or its indirect table; such a one must be the only one of its chain.</summary>
    private bool Append(ulong address, PackedTail tail, VectorSpace space, bool deviceWrites, in Chain chain)
    {
        if ((tail.Flags & DescriptorFlags.Indirect) == 0)
        {
            return AppendBuffer(address, tail, space, deviceWrites, chain.FirstVector);
        }

        return _indirectAllowed
            && chain.Slots == 0
            && (tail.Flags & DescriptorFlags.Next) == 0
            && AppendTable(address, tail.Length, space, deviceWrites, chain.FirstVector);
    }

    /// <summary>
    /// Appends the buffers of an indirect table (virtio 1.3 section 2.8.7), which may lie anywhere and span regions. All its
    /// entries are used, one after the other; of their flags only Write counts, and only where the device writes: DPDK's driver
    /// has it set, against the specification, for the header of what it sends. A table can be as long as the longest ring.
    /// </summary>
    private bool AppendTable(ulong table, uint length, VectorSpace space, bool deviceWrites, int first)
    {
        uint count = length / PackedDescriptor.Size;
        if (length % PackedDescriptor.Size != 0 || count is 0 or > 32768 || table > ulong.MaxValue - length)
        {
            return false;
        }

        for (uint i = 0; i < count; i++)
        {
            PackedDescriptor entry;
            if (!_tables.TryRead(table + (i * PackedDescriptor.Size), &entry, PackedDescriptor.Size)
                || (deviceWrites && (entry.Tail.Flags & DescriptorFlags.Write) == 0)
                || !space.Append(ref _buffers, entry.Address, entry.Tail.Length, first))
            {
                return false;
            }
        }

        return true;
    }

    public void Prefetch(int chains, uint longest)
    {
        int position = _next;
        for (int i = 0; i < chains && IsAvailable(position); i++)
        {
            PackedDescriptor descriptor = _descriptors[PackedPosition.Index(position, _size)];
            if (descriptor.Tail.Length <= longest)
            {
                _buffers.Prefetch(descriptor.Address, descriptor.Tail.Length);
            }

            position = PackedPosition.Advance(position, 1, _size);
        }
    }

    private bool AppendBuffer(ulong address, PackedTail tail, VectorSpace space, bool deviceWrites, int first) =>
        ((tail.Flags & DescriptorFlags.Write) != 0) == deviceWrites
        && space.Append(ref _buffers, address, tail.Length, first);
}
