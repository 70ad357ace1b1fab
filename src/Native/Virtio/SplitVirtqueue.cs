using System.Runtime.CompilerServices;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Virtio;

/// <summary>
/// The device's half of a split virtqueue (virtio 1.3 section 2.7), and all its memory barriers.
/// <code>
/// available ring   0 le16 flags   2 le16 index   4 le16 ring[size]            4 + 2 size: le16 used_event
/// used ring        0 le16 flags   2 le16 index   4 {le32 id, le32 length}[size]   4 + 8 size: le16 avail_event
/// </code>
/// Invariants: the three parts stay mapped while the struct is in use (the worker holds the table); everything in them is
/// hostile and may change at any time, so each value is read once into a local and then checked. _nextAvailable and
/// _nextUsed differ only inside a batch. Little-endian hosts only, as are virtio 1 rings.
/// </summary>
internal unsafe partial struct SplitVirtqueue : IVirtqueue<SplitVirtqueue>
{
    private const ushort NoInterrupt = 1;
    private const ushort NoNotify = 1;
    private const int UsedIndexOffset = 2;
    private const int ElementsOffset = 4;
    private const int ElementSize = 8;

    private readonly SplitDescriptor* _descriptors;
    private readonly ushort* _available;
    private readonly byte* _used;
    private readonly ushort* _usedEvent;
    private readonly ushort* _availableEvent;
    private readonly int _size;
    private readonly ushort _mask;
    private readonly bool _eventIndex;
    private readonly bool _indirectAllowed;
    private readonly bool _inOrder;
    private readonly RingLog _log;
    private TranslationCache _buffers;
    private TranslationCache _tables;
    private ushort* _heads;
    private SplitInflight? _inflight;
    private ushort[]? _resubmitted;

    private ushort _nextAvailable;
    private ushort _availableSeen;
    private ushort _nextUsed;
    private ushort _published;
    private ushort _called;
    private bool _everCalled;

    private SplitVirtqueue(in SplitRingAddresses addresses, RingPlan plan, GuestView view)
    {
        _descriptors = addresses.Descriptors;
        _available = (ushort*)addresses.Available;
        _heads = _available + 2;
        _used = addresses.Used;
        _size = plan.Size;
        _mask = (ushort)(plan.Size - 1);
        _usedEvent = _available + 2 + _size;
        _availableEvent = (ushort*)(_used + ElementsOffset + (ElementSize * _size));
        _eventIndex = plan.Features.HasFlag(VirtioFeatures.EventIdx);
        _indirectAllowed = plan.Features.HasFlag(VirtioFeatures.IndirectDesc);
        _inOrder = plan.Features.HasFlag(VirtioFeatures.InOrder);
        _log = new RingLog(plan, view);
        _buffers = new TranslationCache(view.Memory, view.Iotlb, view.BufferAccess);
        _tables = new TranslationCache(view.Memory, view.Iotlb, IotlbAccess.ReadOnly);
    }

    /// <inheritdoc/>
    /// <remarks>
    /// The ring goes on from the used index that the driver sees, whatever the plan's base says: chains are returned in
    /// the order taken, so all before it are done and all after it are not. An in-flight region says the same of our own
    /// chains, and more of those that another back-end took out of order.
    /// </remarks>
    public static string? TryAttach(RingPlan plan, GuestView view, out SplitVirtqueue ring)
    {
        string? problem = SplitRingAddresses.Translate(plan, view, out SplitRingAddresses addresses);
        if (problem is not null)
        {
            ring = default;
            return problem;
        }

        ring = new SplitVirtqueue(addresses, plan, view);
        ushort used = Volatile.Read(ref ring.UsedIndex);
        ring.SetPosition(used);
        return ring.TakeUpInflight(plan, view);
    }

    public string? TryReattach(RingPlan plan, GuestView view)
    {
        string? problem = SplitRingAddresses.Translate(plan, view, out SplitRingAddresses addresses);
        if (problem is not null)
        {
            return problem;
        }

        if (plan.Size != _size || plan.Features.HasFlag(VirtioFeatures.RingPacked))
        {
            return "the size or format of a split ring changed while it ran";
        }

        SplitVirtqueue moved = new(addresses, plan, view);
        moved.SetPosition(_published);
        moved._called = _called;
        moved._everCalled = _everCalled;
        problem = moved.CarryInflightOn(in this, plan, view);
        if (problem is null)
        {
            this = moved;
        }

        return problem;
    }

    public readonly uint Base => _published;

    public readonly IotlbMiss? Missing => _buffers.Missing ?? _tables.Missing;

    public readonly bool HasWork => Volatile.Read(ref AvailableIndex) != _nextAvailable;

    private readonly ref ushort AvailableFlags => ref _available[0];

    private readonly ref ushort AvailableIndex => ref _available[1];

    private readonly ref ushort UsedFlags => ref *(ushort*)_used;

    private readonly ref ushort UsedIndex => ref *(ushort*)(_used + UsedIndexOffset);

    public PopStatus TryPop(VectorSpace space, bool deviceWrites, out Chain chain)
    {
        chain = default;
        if (_nextAvailable == _availableSeen && !RefreshAvailable(out PopStatus status))
        {
            return status;
        }

        ushort head = _heads[_nextAvailable & _mask];
        if (head >= _size)
        {
            // Such a head cannot be returned, so the used index could never again stand for "all before are done".
            return PopStatus.BrokenRing;
        }

        _nextAvailable++;
        chain.Id = head;
        chain.Slots = 1;
        chain.FirstVector = space.Used;
        chain.Status = Walk(head, space, deviceWrites) ? PopStatus.Popped : PopStatus.BadChain;
        if (chain.Status == PopStatus.BadChain)
        {
            space.Truncate(chain.FirstVector);
            if (Missing is not null)
            {
                _nextAvailable--;
                chain.Status = PopStatus.Missing;
            }

            return chain.Status;
        }

        chain.TakeVectors(space);
        return PopStatus.Popped;
    }

    public void Rewind(int slots) => _nextAvailable -= (ushort)slots;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Use(in Chain chain, uint written)
    {
        uint* element = (uint*)(_used + ElementsOffset + (ElementSize * (_nextUsed & _mask)));
        element[0] = chain.Id;
        element[1] = written;
        _nextUsed++;
        _inflight?.Note(chain.Id);
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
            for (int i = 0; _inflight is not null && i < chains.Length - 1; i++)
            {
                _inflight.Note(chains[i].Id);
            }

            // The one element stands in the slot of the batch's first chain and names its last.
            Use(in chains[^1], 0);
            _nextUsed += (ushort)(chains.Length - 1);
        }
    }

    public void Publish()
    {
        if (_nextUsed == _published)
        {
            return;
        }

        if (_log.On)
        {
            MarkUsedElements();
        }

        _inflight?.Announce();

        // Release: the used elements, the frames they stand for, and their marks in the in-flight region are visible before the
        // index that covers them.
        Volatile.Write(ref UsedIndex, _nextUsed);
        _published = _nextUsed;
        MarkWritten(UsedIndexOffset);
        if (_inflight is not null)
        {
            SettleInflight();
        }
    }

    public bool MustCall()
    {
        ushort since = _called;
        bool first = !_everCalled;
        if (since == _published && !first)
        {
            return false;
        }

        // Full barrier: the used index is visible before the driver's wish is read; else both sides could go to sleep,
        // we on its old wish and it on our old index.
        Interlocked.MemoryBarrier();
        _called = _published;
        _everCalled = true;
        if (!_eventIndex)
        {
            return (Volatile.Read(ref AvailableFlags) & NoInterrupt) == 0;
        }

        return first || Crossed(Volatile.Read(ref *_usedEvent), _published, since);
    }

    public void SuppressKicks()
    {
        // With EVENT_IDX the event index simply stays behind: the driver kicks at most once more in 65,536 chains.
        if (!_eventIndex)
        {
            Volatile.Write(ref UsedFlags, NoNotify);
            MarkWritten(0);
        }
    }

    public bool RequestKicks(int ahead)
    {
        ushort at = (ushort)(_nextAvailable + ahead);
        if (_eventIndex)
        {
            Volatile.Write(ref *_availableEvent, at);
            MarkWritten(ElementsOffset + (ElementSize * (ulong)_size));
        }
        else
        {
            Volatile.Write(ref UsedFlags, 0);
            MarkWritten(0);
        }

        // Full barrier: the wish is visible before the available index is read again; a chain added before the driver saw
        // the wish is found here, one added after it is kicked.
        Interlocked.MemoryBarrier();
        return (ushort)(Volatile.Read(ref AvailableIndex) - _nextAvailable) > ahead;
    }

    /// <summary>
    /// True when an event index lies in [<paramref name="since"/>, <paramref name="now"/>), modulo 2^16 (virtio 1.3 section
    /// 2.7.10).
    /// </summary>
    internal static bool Crossed(ushort eventIndex, ushort now, ushort since) =>
        (ushort)(now - eventIndex - 1) < (ushort)(now - since);

    /// <summary>Marks one of the used ring's 16-bit fields in the log.</summary>
    private readonly void MarkWritten(ulong offset)
    {
        if (_log.On)
        {
            _log.MarkDevicePart(offset, sizeof(ushort));
        }
    }

    /// <summary>Marks the elements of a batch in the log: one run of them, or two where the ring ends in between.</summary>
    private readonly void MarkUsedElements()
    {
        int first = _published & _mask;
        int count = (ushort)(_nextUsed - _published);
        int run = Math.Min(count, _size - first);
        _log.MarkDevicePart(ElementsOffset + (ElementSize * (ulong)first), ElementSize * (ulong)run);
        _log.MarkDevicePart(ElementsOffset, ElementSize * (ulong)(count - run));
    }

    private void SetPosition(ushort index)
    {
        _nextAvailable = index;
        _availableSeen = index;
        _nextUsed = index;
        _published = index;
        _called = index;
    }

    private bool RefreshAvailable(out PopStatus status)
    {
        // Acquire: the entries and descriptors that the index covers are read after it.
        ushort index = Volatile.Read(ref AvailableIndex);
        int pending = (ushort)(index - _nextAvailable);

        // No more chains can be available than there are slots, less those that were popped and are not published yet.
        int free = _size - (ushort)(_nextAvailable - _published);
        status = pending > free ? PopStatus.BrokenRing : PopStatus.Empty;
        if (pending == 0 || pending > free)
        {
            return false;
        }

        if (_resubmitted is not null)
        {
            CopyHeads(index);
        }

        _availableSeen = index;
        return true;
    }
}
