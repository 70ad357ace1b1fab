namespace Ringmaster.Native.Virtio;

/// <content>The walk over a chain's descriptors. It needs no barrier beyond the one by which the chain was found.</content>
internal unsafe partial struct SplitVirtqueue
{
    /// <summary>Walks the chain from its head; at most size descriptors in the ring and as many in one indirect table.</summary>
    private bool Walk(ushort head, VectorSpace space, bool deviceWrites)
    {
        int first = space.Used;
        ushort index = head;
        for (int left = _size; left > 0; left--)
        {
            SplitDescriptor descriptor = _descriptors[index];
            if ((descriptor.Flags & DescriptorFlags.Indirect) != 0)
            {
                return _indirectAllowed
                    && (descriptor.Flags & DescriptorFlags.Next) == 0
                    && WalkTable(descriptor.Address, descriptor.Length, space, deviceWrites, first);
            }

            if (!AppendBuffer(in descriptor, space, deviceWrites, first))
            {
                return false;
            }

            if ((descriptor.Flags & DescriptorFlags.Next) == 0)
            {
                return true;
            }

            index = descriptor.Next;
            if (index >= _size)
            {
                return false;
            }
        }

        return false;
    }

    /// <summary>Walks an indirect table (virtio 1.3 section 2.7.5.3), which may lie anywhere and span regions.</summary>
    private bool WalkTable(ulong table, uint length, VectorSpace space, bool deviceWrites, int first)
    {
        uint count = length / SplitDescriptor.Size;
        if (length % SplitDescriptor.Size != 0 || count == 0 || table > ulong.MaxValue - length)
        {
            return false;
        }

        uint index = 0;
        for (int left = (int)Math.Min(count, 32768u); left > 0; left--)
        {
            SplitDescriptor descriptor;
            if (!_tables.TryRead(table + (index * SplitDescriptor.Size), &descriptor, SplitDescriptor.Size)
                || (descriptor.Flags & DescriptorFlags.Indirect) != 0
                || !AppendBuffer(in descriptor, space, deviceWrites, first))
            {
                return false;
            }

            if ((descriptor.Flags & DescriptorFlags.Next) == 0)
            {
                return true;
            }

            index = descriptor.Next;
            if (index >= count)
            {
                return false;
            }
        }

        return false;
    }

    public void Prefetch(int chains, uint longest)
    {
        int ready = Math.Min(chains, (ushort)(Volatile.Read(ref AvailableIndex) - _nextAvailable));
        for (int i = 0; i < ready; i++)
        {
            ushort index = _available[2 + ((_nextAvailable + i) & _mask)];
            if (index < _size)
            {
                SplitDescriptor descriptor = _descriptors[index];
                if (descriptor.Length <= longest)
                {
                    _buffers.Prefetch(descriptor.Address, descriptor.Length);
                }
            }
        }
    }

    private bool AppendBuffer(in SplitDescriptor descriptor, VectorSpace space, bool deviceWrites, int first) =>
        ((descriptor.Flags & DescriptorFlags.Write) != 0) == deviceWrites
        && space.Append(ref _buffers, descriptor.Address, descriptor.Length, first);
}
