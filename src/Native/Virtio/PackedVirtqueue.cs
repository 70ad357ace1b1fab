using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Virtio;

/// <summary>
/// The device's half of a packed virtqueue (virtio 1.3 section 2.8), and all its memory barriers.
/// <code>
/// descriptor ring            PackedDescriptor[size], available and used ones in the same slots
/// driver event suppression   0 le16 position   2 le16 flags    when the driver wants a call
/// device event suppression   the same                          when the device wants a kick
/// </code>
/// <list type="bullet">
/// <item>A slot is available when its Available bit equals the wrap counter of the lap and its Used bit does not.</item>
/// <item>A chain lies in slots that follow each other; its id stands in the last one. It is returned by one used descriptor in
/// the first slot, and the position steps over all of them. Chains are returned in the order taken, so between two
/// batches one position says it all.</item>
/// <item>Used descriptors are collected here and written by <see cref="Publish"/>: they overwrite the available ones, so until
/// then the ring can be rewound, or taken up by another worker, as if nothing had happened.</item>
/// </list>
/// Invariants: the three parts stay mapped while the struct is in use (the worker holds the table); everything in them is
/// hostile and may change at any time, so each word is read once into a local and then checked. At most size slots are
/// taken and not yet published. Positions are PackedPosition numbers.
/// </summary>
internal unsafe partial struct PackedVirtqueue : IVirtqueue<PackedVirtqueue>
{
    private const DescriptorFlags StateBits = DescriptorFlags.Available | DescriptorFlags.Used;

    private readonly PackedDescriptor* _descriptors;
    private readonly uint* _driverEvent;
    private readonly uint* _deviceEvent;
    private readonly int _size;
    private readonly bool _eventIndex;
    private readonly bool _indirectAllowed;
    private readonly bool _inOrder;
    private readonly UsedDescriptor[] _used;
    private readonly RingLog _log;
    private TranslationCache _buffers;
    private TranslationCache _tables;
    private PackedDescriptor* _source;
    private PackedInflight? _inflight;
    private PackedDescriptor[]? _resubmitted;

    private int _next;
    private int _nextUsed;
    private int _published;
    private int _called;
    private int _usedCount;
    private bool _everCalled;

    private PackedVirtqueue(in PackedRingAddresses addresses, RingPlan plan, GuestView view, int position)
    {
        _descriptors = addresses.Descriptors;
        _source = _descriptors;
        _driverEvent = addresses.DriverEvent;
        _deviceEvent = addresses.DeviceEvent;
        _size = plan.Size;
        _eventIndex = plan.Features.HasFlag(VirtioFeatures.EventIdx);
        _indirectAllowed = plan.Features.HasFlag(VirtioFeatures.IndirectDesc);
        _inOrder = plan.Features.HasFlag(VirtioFeatures.InOrder);
        _used = new UsedDescriptor[plan.Size];
        _log = new RingLog(plan, view);
        _buffers = new TranslationCache(view.Memory, view.Iotlb, view.BufferAccess);
        _tables = new TranslationCache(view.Memory, view.Iotlb, IotlbAccess.ReadOnly);
        SetPosition(position);
    }

    /// <inheritdoc/>
    /// <remarks>
    /// An in-flight region knows better than the plan's base where the ring is to go on. A base with two positions means that the
    /// chains between them were taken and not returned; they are taken again. But DPDK sets and reports the lower half alone, so
    /// the upper half counts only where it makes sense: no more than one lap behind, and its slot still available.
    /// </remarks>
    public static string? TryAttach(RingPlan plan, GuestView view, out PackedVirtqueue ring)
    {
        ring = default;
        string? problem = PackedRingAddresses.Translate(plan, view, out PackedRingAddresses addresses);
        if (problem is not null)
        {
            return problem;
        }

        ring = new PackedVirtqueue(in addresses, plan, view, position: 0);
        return ring.TakeUp(plan, view);
    }

    public string? TryReattach(RingPlan plan, GuestView view)
    {
        string? problem = PackedRingAddresses.Translate(plan, view, out PackedRingAddresses addresses);
        if (problem is not null)
        {
            return problem;
        }

        if (plan.Size != _size || !plan.Features.HasFlag(VirtioFeatures.RingPacked))
        {
            return "the size or format of a packed ring changed while it ran";
        }

        PackedVirtqueue moved = new(in addresses, plan, view, _published);
        moved._called = _called;
        moved._everCalled = _everCalled;
        problem = moved.CarryInflightOn(in this, plan, view);
        if (problem is null)
        {
            this = moved;
        }

        return problem;
    }

    public readonly uint Base => PackedPosition.Encode(_published, _size) * 0x10001u;

    public readonly IotlbMiss? Missing => _buffers.Missing ?? _tables.Missing;

    public readonly bool HasWork => IsAvailable(_next);

    public PopStatus TryPop(VectorSpace space, bool deviceWrites, out Chain chain)
    {
        chain = default;

        // Acquire: the rest of the chain is read after the word that makes its first descriptor available, which the driver
        // writes last.
        PackedTail head = SourceTail(_next);
        if (!IsAvailable(head, _next))
        {
            if (!FindBehindPending(_next))
            {
                return PopStatus.Empty;
            }

            head = SourceTail(_next);
        }

        chain.FirstVector = space.Used;
        chain.Status = Walk(head, space, deviceWrites, ref chain);
        if (chain.Status == PopStatus.Popped)
        {
            chain.TakeVectors(space);
        }
        else
        {
            space.Truncate(chain.FirstVector);
            chain.Status = chain.Status == PopStatus.BadChain && Missing is not null ? PopStatus.Missing : chain.Status;
        }

        if (chain.Status is PopStatus.Popped or PopStatus.BadChain)
        {
            _next = PackedPosition.Advance(_next, chain.Slots, _size);
        }

        return chain.Status;
    }

    public void Rewind(int slots) => _next = PackedPosition.Rewind(_next, slots, _size);

    public void Use(in Chain chain, uint written)
    {
        _inflight?.Note(chain.Slots);
        Collect(chain.Id, written, chain.Slots);
    }

    public void UseUnwritten(ReadOnlySpan<Chain> chains)
    {
        if (!_inOrder)
        {
            foreach (ref readonly Chain chain in chains)
            {
                Use(in chain, 0);
            }
        }
        else if (chains.Length > 0)
        {
            int slots = 0;
            foreach (ref readonly Chain chain in chains)
            {
                slots += chain.Slots;
                _inflight?.Note(chain.Slots);
            }

            Collect(chains[^1].Id, 0, slots);
        }
    }

    public void Publish()
    {
        if (_usedCount == 0)
        {
            return;
        }

        _inflight?.Announce(_descriptors);
        for (int i = _usedCount - 1; i > 0; i--)
        {
            TailOf(_used[i].Index) = _used[i].Tail.Word;
            _inflight?.Stored();
        }

        MarkUsed(1, _usedCount);

        // Release: the rest of the batch, and the frames that it stands for, are visible before the first used descriptor,
        // which the driver reads first: it sees the batch at once.
        Volatile.Write(ref TailOf(_used[0].Index), _used[0].Tail.Word);
        MarkUsed(0, 1);
        _usedCount = 0;
        _published = _nextUsed;
        if (_inflight is not null)
        {
            SettleInflight();
        }
    }

    public bool MustCall()
    {
        int since = _called;
        bool first = !_everCalled;
        if (since == _published && !first)
        {
            return false;
        }

        // Full barrier: the used descriptors are visible before the driver's wish is read; else both sides could go to
        // sleep, we on its old wish and it on our old descriptors.
        Interlocked.MemoryBarrier();
        _called = _published;
        _everCalled = true;
        RingEvent wish = new(Volatile.Read(ref *_driverEvent));
        return wish.Mode switch
        {
            RingEventMode.Disable => false,
            RingEventMode.AtPosition when _eventIndex && !first =>
                !PackedPosition.TryDecode(wish.Position, _size, out int wanted)
                || PackedPosition.Crossed(wanted, _published, since, _size),
            _ => true,
        };
    }

    // Nothing depends on when the driver learns that kicks are not needed.
    public readonly void SuppressKicks() => WriteWish(new RingEvent(0, RingEventMode.Disable));

    public readonly bool RequestKicks(int ahead)
    {
        int at = PackedPosition.Advance(_next, ahead, _size);
        RingEvent wish = _eventIndex
            ? new RingEvent(PackedPosition.Encode(at, _size), RingEventMode.AtPosition)
            : new RingEvent(0, RingEventMode.Enable);
        WriteWish(wish);

        // Full barrier: the wish is visible before the slot is read again; a chain added before the driver saw the wish is
        // found here, one added after it is kicked.
        Interlocked.MemoryBarrier();
        return IsAvailable(at);
    }

    private readonly ref ulong TailOf(int index) => ref *(ulong*)&_descriptors[index].Tail;

    private readonly PackedTail SourceTail(int position) =>
        new(Volatile.Read(ref *(ulong*)&_source[PackedPosition.Index(position, _size)].Tail));

    private readonly bool IsAvailable(int position) =>
        IsAvailable(SourceTail(position), position) || FindBehindPending(position);

    private readonly bool IsAvailable(PackedTail tail, int position) =>
        (tail.Flags & StateBits) == (PackedPosition.Wrap(position, _size) ? DescriptorFlags.Available : DescriptorFlags.Used);

    private readonly void WriteWish(RingEvent wish)
    {
        Volatile.Write(ref *_deviceEvent, wish.Word);
        if (_log.On)
        {
            _log.MarkDevicePart(0, sizeof(uint));
        }
    }

    /// <summary>Marks some of the used descriptors of a batch in the log.</summary>
    private readonly void MarkUsed(int from, int to)
    {
        for (int i = from; _log.On && i < to; i++)
        {
            _log.MarkDescriptors((ulong)_used[i].Index * PackedDescriptor.Size, PackedDescriptor.Size);
        }
    }

    private void SetPosition(int position)
    {
        _next = position;
        _nextUsed = position;
        _published = position;
        _called = position;
    }

    private readonly string? TryFindStart(RingPlan plan, out int start)
    {
        if (!PackedPosition.TryDecode((ushort)plan.Base, _size, out start))
        {
            return $"the base 0x{plan.Base:x} is beyond a ring of {_size} descriptors";
        }

        if (PackedPosition.TryDecode((ushort)(plan.Base >> 16), _size, out int used)
            && PackedPosition.Distance(used, start, _size) <= _size
            && IsAvailable(used))
        {
            start = used;
        }

        return null;
    }

    private void Collect(ushort id, uint written, int slots)
    {
        DescriptorFlags flags = PackedPosition.Wrap(_nextUsed, _size) ? StateBits : DescriptorFlags.None;
        flags |= written > 0 ? DescriptorFlags.Write : DescriptorFlags.None;
        ref UsedDescriptor used = ref _used[_usedCount++];
        used.Index = PackedPosition.Index(_nextUsed, _size);
        used.Tail = new PackedTail(written, id, flags);
        _nextUsed = PackedPosition.Advance(_nextUsed, slots, _size);
    }

    /// <summary>A used descriptor that waits for <see cref="Publish"/>.</summary>
    private struct UsedDescriptor
    {
        internal PackedTail Tail;
        internal int Index;
    }
}
