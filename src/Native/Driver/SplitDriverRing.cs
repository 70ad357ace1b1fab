namespace Ringmaster.Native.Driver;

/// <summary>The driver's half of a split virtqueue (virtio 1.3 section 2.7). All barriers of it are in this file.</summary>
/// <remarks>
/// Layout, n = size: descriptor table 16n (address u64, length u32, flags u16, next u16); available ring 6 + 2n (flags u16,
/// idx u16, ring u16[n], used_event u16); used ring 6 + 8n (flags u16, idx u16, {id u32, length u32}[n], avail_event u16).
/// SAFETY: all three parts come from <see cref="GuestRam.Allocate"/> with these sizes; every index into them is masked.
/// </remarks>
public sealed unsafe class SplitDriverRing : DriverRing
{
    private readonly byte* _descriptors;
    private readonly ushort* _available;
    private readonly ushort* _used;
    private readonly ushort[] _next;
    private readonly ushort _mask;
    private ushort _availableIndex;
    private ushort _publishedIndex;
    private ushort _usedIndex;

    internal SplitDriverRing(GuestRam ram, DriverRingOptions options, DriverRing? before)
        : base(ram, options, before, 6 + (2 * options.Size), 6 + (8 * options.Size))
    {
        if (!int.IsPow2(Size) || Size > 32768)
        {
            throw new ArgumentException("A split ring has a power of two of descriptors, up to 32768.", nameof(options));
        }

        _descriptors = ram.At(Addresses.Descriptors, 16 * (ulong)Size);
        _available = (ushort*)ram.At(Addresses.Driver, 6 + (2 * (ulong)Size));
        _used = (ushort*)ram.At(Addresses.Device, 6 + (8 * (ulong)Size));
        _next = new ushort[Size];
        _mask = (ushort)(Size - 1);
    }

    /// <inheritdoc/>
    public override uint Base => UsedIndex;

    /// <inheritdoc/>
    public override uint PublishedBase => _publishedIndex;

    /// <summary>avail.idx as it stands in memory.</summary>
    public ushort AvailableIndex => Volatile.Read(ref _available[1]);

    /// <summary>used.idx as it stands in memory.</summary>
    public ushort UsedIndex => Volatile.Read(ref _used[1]);

    private ref ushort UsedEvent => ref _available[2 + Size];

    private ref ushort AvailEvent => ref _used[2 + (4 * Size)];

    /// <inheritdoc/>
    public override bool Publish()
    {
        ushort old = _publishedIndex;
        if (old == _availableIndex)
        {
            return false;
        }

        // Release: descriptors and ring entries are visible before the index that covers them.
        Volatile.Write(ref _available[1], _availableIndex);
        _publishedIndex = _availableIndex;

        // Full barrier: the index is visible before avail_event or the flags are read, else a kick could be lost.
        Interlocked.MemoryBarrier();
        return Options.EventIdx
            ? (ushort)(_publishedIndex - Volatile.Read(ref AvailEvent) - 1) < (ushort)(_publishedIndex - old)
            : (Volatile.Read(ref _used[0]) & 1) == 0;
    }

    /// <inheritdoc/>
    public override bool EnableCalls(int after = 0)
    {
        if (Options.EventIdx)
        {
            Volatile.Write(ref UsedEvent, (ushort)(_usedIndex + after));
        }
        else
        {
            after = 0;
            Volatile.Write(ref _available[0], (ushort)0);
        }

        // Full barrier: the wish for a call is visible before used.idx is read again, else a call could be lost.
        Interlocked.MemoryBarrier();
        return (ushort)(UsedIndex - _usedIndex) > after;
    }

    /// <inheritdoc/>
    public override void DisableCalls()
    {
        if (Options.EventIdx)
        {
            // The farthest index there is: 65535 chains from now.
            Volatile.Write(ref UsedEvent, (ushort)(_usedIndex - 1));
        }
        else
        {
            Volatile.Write(ref _available[0], (ushort)1);
        }
    }

    /// <summary>Writes a descriptor of the table as it is, without any account.</summary>
    public void WriteDescriptor(int index, ulong address, uint length, ushort flags, ushort next)
    {
        byte* descriptor = _descriptors + (16 * (index & _mask));
        *(ulong*)descriptor = address;
        *(uint*)(descriptor + 8) = length;
        *(ushort*)(descriptor + 12) = flags;
        *(ushort*)(descriptor + 14) = next;
    }

    /// <summary>Puts a number into the available ring without any account: the number of a chain that may not exist.</summary>
    public void OfferUnaccounted(ushort head) => _available[2 + (_availableIndex++ & _mask)] = head;

    /// <summary>Writes avail.idx as it is; the driver's own idea of it stays.</summary>
    public void WriteAvailableIndex(ushort index) => Volatile.Write(ref _available[1], index);

    /// <summary>Reads an entry of the used ring as it stands in memory.</summary>
    public (uint Id, uint Length) UsedEntry(int index)
    {
        uint* entry = (uint*)(_used + 2) + (2 * (index & _mask));
        return (Volatile.Read(ref entry[0]), Volatile.Read(ref entry[1]));
    }

    private protected override int ReadUsed(out uint id, out uint length)
    {
        // Acquire: the entry is read after the index that covers it.
        ushort ready = (ushort)(UsedIndex - _usedIndex);
        if (ready == 0)
        {
            id = length = 0;
            return 0;
        }

        if (ready > Outstanding)
        {
            throw new RingViolationException($"used.idx is {ready} ahead with {Outstanding} chains out.");
        }

        (id, length) = UsedEntry(_usedIndex);
        return ready;
    }

    private protected override void Retire(ushort id, int descriptors)
    {
        _usedIndex++;
        for (int i = 0; i < descriptors; i++)
        {
            PushFree(id);
            id = _next[id];
        }
    }

    private protected override ushort WriteChain(ReadOnlySpan<RingBuffer> buffers)
    {
        ushort head = PopFree();
        ushort index = head;
        for (int i = 0; i < buffers.Length; i++)
        {
            bool last = i == buffers.Length - 1;
            ushort next = last ? (ushort)0 : PopFree();
            _next[index] = next;
            int flags = (last ? 0 : FlagNext) | (buffers[i].Writable ? FlagWrite : 0);
            WriteDescriptor(index, buffers[i].Address, buffers[i].Length, (ushort)flags, next);
            index = next;
        }

        return Offer(head);
    }

    private protected override ushort WriteIndirect(ReadOnlySpan<RingBuffer> buffers)
    {
        ushort head = PopFree();
        ulong table = IndirectTables + (ulong)(head * Options.IndirectEntries * 16);
        byte* entry = Ram.At(table, (ulong)buffers.Length * 16);
        for (int i = 0; i < buffers.Length; i++, entry += 16)
        {
            bool last = i == buffers.Length - 1;
            *(ulong*)entry = buffers[i].Address;
            *(uint*)(entry + 8) = buffers[i].Length;
            *(ushort*)(entry + 12) = (ushort)((last ? 0 : FlagNext) | (buffers[i].Writable ? FlagWrite : 0));
            *(ushort*)(entry + 14) = (ushort)(last ? 0 : i + 1);
        }

        WriteDescriptor(head, table, (uint)buffers.Length * 16, FlagIndirect, 0);
        return Offer(head);
    }

    private protected override ushort WriteRaw(ReadOnlySpan<RawDescriptor> descriptors)
    {
        Span<ushort> numbers = descriptors.Length <= 256 ? stackalloc ushort[descriptors.Length] : new ushort[descriptors.Length];
        for (int i = 0; i < numbers.Length; i++)
        {
            numbers[i] = PopFree();
            if (i > 0)
            {
                _next[numbers[i - 1]] = numbers[i];
            }
        }

        for (int i = 0; i < numbers.Length; i++)
        {
            RawDescriptor raw = descriptors[i];
            ushort next = (uint)raw.Next < (uint)numbers.Length ? numbers[raw.Next] : (ushort)raw.Next;
            WriteDescriptor(numbers[i], raw.Address, raw.Length, raw.Flags, next);
        }

        return Offer(numbers[0]);
    }

    private ushort Offer(ushort head)
    {
        OfferUnaccounted(head);
        return head;
    }
}
