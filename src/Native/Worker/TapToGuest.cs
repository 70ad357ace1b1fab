using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <summary>
/// Receive: frames from the TAP go into chains of the guest's receive ring.
/// <list type="bullet">
/// <item>Each read goes straight into guest buffers, with a spill buffer behind them that catches what does not fit.</item>
/// <item>Small frames: one chain a read, many reads a batch; the batch grows while the TAP keeps up and shrinks when it
/// runs dry. Large frames (MRG_RXBUF): one read over as many chains as 64 KiB need. The last frames decide which.</item>
/// <item>The common case returns the chains in place. Anything else (a spilled frame, a hole in the batch) is settled by
/// copying: frames are made contiguous in their scratch buffers and laid out anew, in order, from the first free chain.</item>
/// <item>A frame that does not fit into the chains there are is held and tried again at the driver's next kick; one that can
/// never fit is dropped.</item>
/// <item>Without chains the TAP is left alone, and the driver is asked for a kick.</item>
/// </list>
/// Between two runs every chain popped has been returned or rewound; only a held frame is kept.
/// </summary>
internal sealed unsafe partial class TapToGuest<TRing> : RingPump
    where TRing : struct, IVirtqueue<TRing>
{
    private const int MaxChains = 1024;
    private const int ScratchSize = 68 * 1024;
    private const int MaxHeldTries = 8;
    private const int SmallFramesToLeaveLarge = 4;
    private const int BufferCountOffset = 10;

    private readonly TapReadiness _tap;
    private readonly VectorSpace _space = new(MaxBatch * 20);
    private readonly Chain[] _chains = GC.AllocateArray<Chain>(MaxChains, pinned: true);
    private readonly ReadSpan[] _reads = GC.AllocateArray<ReadSpan>(MaxBatch, pinned: true);
    private readonly FrameIo* _frames = (FrameIo*)NativeMemory.AllocZeroed(MaxBatch, (nuint)sizeof(FrameIo));

    // One scratch buffer a read, and one for the held frame. Pages that are never spilled into are never touched.
    private readonly byte* _scratch = (byte*)NativeMemory.Alloc(MaxBatch + 1, ScratchSize);
    private TRing _ring;
    private DirtyLog? _log;
    private bool _mergeable;
    private int _popped;
    private int _next;
    private int _batch = 1;
    private bool _large;
    private int _smallStreak;
    private int _heldLength;
    private int _heldTries;
    private int _heldAhead;

    internal TapToGuest(TRing ring, RingPlan plan, GuestView view, TapIo io, TapReadiness tap, WorkerCounters counters)
        : base(plan, view, io, counters)
    {
        _ring = ring;
        _tap = tap;
        _mergeable = plan.Features.HasFlag(VirtioFeatures.MrgRxbuf);
        _log = LogOf(plan, view);
    }

    internal override uint Base => _ring.Base;

    private byte* HeldFrame => _scratch + (MaxBatch * ScratchSize);

    internal override bool Run()
    {
        if (Broken is not null || !Enabled || (!_tap.Readable && _heldLength == 0))
        {
            return false;
        }

        _space.Truncate(0);
        _popped = 0;
        _next = 0;
        bool moved = _heldLength == 0 ? ReadBatch() : RetryHeld();
        Finish();
        return moved;
    }

    internal override bool PrepareSleep()
    {
        if (Broken is not null || !Enabled)
        {
            return false;
        }

        if (_heldLength != 0)
        {
            return _ring.RequestKicks(_heldAhead);
        }

        if (_ring.HasWork)
        {
            return false;
        }

        // No buffers: only a kick can help, whether or not a frame waits already.
        return _ring.RequestKicks(0) && _tap.Readable;
    }

    internal override void Awake()
    {
        if (Broken is null)
        {
            _ring.SuppressKicks();
        }
    }

    public override void Dispose()
    {
        base.Dispose();
        _space.Dispose();
        NativeMemory.Free(_frames);
        NativeMemory.Free(_scratch);
    }

    private protected override string? Reattach(RingPlan plan, GuestView view)
    {
        _mergeable = plan.Features.HasFlag(VirtioFeatures.MrgRxbuf);
        _log = LogOf(plan, view);
        return _ring.TryReattach(plan, view);
    }

    private bool ReadBatch()
    {
        int reads = _large && _mergeable ? PlanLargeRead() : PlanSmallReads();
        if (reads == 0)
        {
            if (_popped == 0 && Broken is null)
            {
                Counters.Add(WorkerCounter.RxStarved, 1);
            }

            return _popped > 0;
        }

        Io.Read(_frames, reads);
        int moved = Settle(reads);
        Adapt(reads, moved);
        return moved > 0;
    }

    /// <summary>One chain a read. Bad chains stand between the reads and are returned when their turn comes.</summary>
    private int PlanSmallReads()
    {
        int reads = 0;
        while (reads < _batch && _space.HasRoom && TryPopChain())
        {
            ref Chain chain = ref _chains[_popped - 1];
            if (chain.Status == PopStatus.Popped)
            {
                Plan(reads++, _popped - 1, 1, (int)chain.Length);
            }
        }

        return reads;
    }

    /// <summary>One read over chains that together hold the largest frame, or all that there are.</summary>
    private int PlanLargeRead()
    {
        int wanted = HeaderSize + MaxFrame;
        int capacity = 0;
        int first = -1;
        while (capacity < wanted && _space.Used < VectorSpace.MaxPerChain && TryPopChain())
        {
            ref Chain chain = ref _chains[_popped - 1];
            if (chain.Status == PopStatus.BadChain)
            {
                if (first >= 0)
                {
                    break;
                }

                continue;
            }

            int vectors = _space.Used - (first < 0 ? chain.FirstVector : _chains[first].FirstVector);
            if (first >= 0 && vectors > VectorSpace.MaxPerChain)
            {
                RewindFrom(_popped - 1);
                break;
            }

            first = first < 0 ? _popped - 1 : first;
            capacity += (int)chain.Length;
        }

        if (first < 0)
        {
            return 0;
        }

        int last = _chains[_popped - 1].Status == PopStatus.BadChain ? _popped - 1 : _popped;
        Plan(0, first, last - first, capacity);
        return 1;
    }

    /// <summary>Prepares one read: the vectors of its chains, then its scratch buffer from the chains' capacity on.</summary>
    private void Plan(int read, int firstChain, int chains, int capacity)
    {
        ref Chain first = ref _chains[firstChain];
        int vectors = _space.Used - first.FirstVector;
        if (chains > 1 || firstChain + chains < _popped)
        {
            ref Chain last = ref _chains[firstChain + chains - 1];
            vectors = last.FirstVector + last.VectorCount - first.FirstVector;
        }

        if (capacity < ScratchSize)
        {
            _space.AppendSpill(Scratch(read) + capacity, (nuint)(ScratchSize - capacity));
        }

        _reads[read] = new ReadSpan { FirstChain = firstChain, Chains = chains };
        ref FrameIo frame = ref _frames[read];
        frame.Vectors = _space.Vectors + first.FirstVector;
        frame.Count = vectors + (capacity < ScratchSize ? 1 : 0);
        frame.Limit = capacity;
        frame.Result = FrameIo.NotTried;
    }

    /// <summary>Pops one chain. A chain too short for the header is a bad one; a longer one than any frame is cut in account only.</summary>
    private bool TryPopChain()
    {
        if (_popped == MaxChains)
        {
            return false;
        }

        ref Chain chain = ref _chains[_popped];
        PopStatus status = _ring.TryPop(_space, deviceWrites: true, out chain);
        if (status == PopStatus.Empty)
        {
            return false;
        }

        if (status == PopStatus.BrokenRing)
        {
            Broken = "the receive ring's indices are out of range";
            return false;
        }

        _popped++;
        if (chain.Status == PopStatus.Popped && chain.Length < (ulong)HeaderSize)
        {
            chain.Status = PopStatus.BadChain;
            _space.Truncate(chain.FirstVector);
        }

        chain.Length = Math.Min(chain.Length, ScratchSize);
        return true;
    }

    private int Settle(int reads)
    {
        int moved = 0;
        int read = 0;
        while (read < reads && TrySettleInPlace(read))
        {
            read++;
            moved++;
        }

        for (int later = read; later < reads; later++)
        {
            if (NoteResult(_frames[later].Result))
            {
                MakeContiguous(later);
            }
        }

        for (int later = read; later < reads; later++)
        {
            int length = _frames[later].Result;
            if (length >= 0)
            {
                moved++;
                LayOut(Scratch(later), length);
            }
        }

        return moved;
    }

    /// <summary>The common case: the frame is already where it belongs.</summary>
    private bool TrySettleInPlace(int read)
    {
        ref FrameIo frame = ref _frames[read];
        int length = frame.Result;
        if (length < HeaderSize || length > frame.Limit)
        {
            return false;
        }

        ReturnBadChains(_reads[read].FirstChain);
        ReturnChains(_reads[read].FirstChain, length);
        return true;
    }

    /// <summary>True when the read gave a frame.</summary>
    private bool NoteResult(int result)
    {
        if (result >= 0 || result == FrameIo.NotTried)
        {
            return result >= 0;
        }

        switch (-result)
        {
            case Errno.EAGAIN:
            case TapErrors.EBADFD:
                _tap.Readable = false;
                break;
            case Errno.EFAULT:
                Broken ??= "a receive buffer's memory is gone";
                break;
            default:
                _tap.Readable = false;
                if (TapErrors.IsFatal(-result))
                {
                    throw new LinuxException("read from the TAP queue", -result);
                }

                break;
        }

        return false;
    }

    /// <summary>Copies what stands in guest buffers before the part in the scratch buffer, which begins at the limit.</summary>
    private void MakeContiguous(int read)
    {
        ref FrameIo frame = ref _frames[read];
        byte* to = Scratch(read);
        int left = Math.Min(frame.Result, frame.Limit);
        if (_log is not null)
        {
            MarkWritten((int)(frame.Vectors - _space.Vectors), left);
        }

        for (IoVec* vector = frame.Vectors; left > 0; vector++)
        {
            int part = (int)Math.Min((nuint)left, vector->Length);
            Unsafe.CopyBlockUnaligned(to, vector->Base, (uint)part);
            to += part;
            left -= part;
        }
    }

    /// <summary>Lays a contiguous frame out over the next chains, or holds it until there are enough.</summary>
    private void LayOut(byte* frame, int length)
    {
        if (TryLayOut(frame, length))
        {
            return;
        }

        if (_heldLength != 0 || !_mergeable)
        {
            Counters.Add(WorkerCounter.RxDropped, 1);
            return;
        }

        Unsafe.CopyBlockUnaligned(HeldFrame, frame, (uint)length);
        _heldLength = length;
        _heldTries = 0;
        _heldAhead = AvailableSlots();
    }

    private bool RetryHeld()
    {
        if (TryLayOut(HeldFrame, _heldLength))
        {
            _heldLength = 0;
            return true;
        }

        int ahead = AvailableSlots();
        if (ahead != _heldAhead && ++_heldTries >= MaxHeldTries)
        {
            Counters.Add(WorkerCounter.RxDropped, 1);
            _heldLength = 0;
            return true;
        }

        _heldAhead = ahead;
        return false;
    }

    private bool TryLayOut(byte* frame, int length)
    {
        int needed = length;
        int end = _next;
        while (needed > 0)
        {
            if (end == _popped && !TryPopMore())
            {
                return false;
            }

            ref Chain chain = ref _chains[end++];
            if (chain.Status == PopStatus.BadChain)
            {
                continue;
            }

            if (!_mergeable && (ulong)length > chain.Length)
            {
                return false;
            }

            needed -= (int)Math.Min((ulong)needed, chain.Length);
        }

        int first = FirstGoodChain();
        CopyToChains(frame, length, first);
        ReturnBadChains(first);
        ReturnChains(first, length);
        return true;
    }

    private bool TryPopMore()
    {
        // The vectors of chains already returned are not needed any more, those of the rest are: they stay in place.
        return _space.HasRoom && TryPopChain();
    }

    private int FirstGoodChain()
    {
        int chain = _next;
        while (_chains[chain].Status == PopStatus.BadChain)
        {
            chain++;
        }

        return chain;
    }

    private void CopyToChains(byte* frame, int length, int chain)
    {
        for (; length > 0; chain++)
        {
            ref Chain target = ref _chains[chain];
            if (target.Status == PopStatus.BadChain)
            {
                continue;
            }

            int left = (int)Math.Min((ulong)length, target.Length);
            length -= left;
            for (IoVec* vector = _space.Vectors + target.FirstVector; left > 0; vector++)
            {
                int part = (int)Math.Min((nuint)left, vector->Length);
                Unsafe.CopyBlockUnaligned(vector->Base, frame, (uint)part);
                frame += part;
                left -= part;
            }
        }
    }

    /// <summary>Returns the chains that a frame lies in, from <paramref name="first"/> on, with the count in the frame's header.</summary>
    private void ReturnChains(int first, int length)
    {
        int left = length;
        int buffers = 0;
        int chain = first;
        while (left > 0)
        {
            ref Chain used = ref _chains[chain++];
            int written = used.Status == PopStatus.BadChain ? 0 : (int)Math.Min((ulong)left, used.Length);
            buffers += written > 0 ? 1 : 0;
            left -= written;
        }

        WriteBufferCount(ref _chains[first], (ushort)buffers);
        left = length;
        for (int i = first; i < chain; i++)
        {
            ref Chain used = ref _chains[i];
            int written = used.Status == PopStatus.BadChain ? 0 : (int)Math.Min((ulong)left, used.Length);
            left -= written;
            Counters.Add(WorkerCounter.RxBadChains, used.Status == PopStatus.BadChain ? 1 : 0);
            if (_log is not null)
            {
                MarkWritten(used.FirstVector, written);
            }

            _ring.Use(in used, (uint)written);
        }

        _next = chain;
        Counters.Add(WorkerCounter.RxFrames, 1);
        Counters.Add(WorkerCounter.RxBytes, length - HeaderSize);
    }

    /// <summary>Returns the bad chains that stand before the next good one, with length 0.</summary>
    private void ReturnBadChains(int until)
    {
        for (; _next < until; _next++)
        {
            Counters.Add(WorkerCounter.RxBadChains, 1);
            _ring.Use(in _chains[_next], 0);
        }
    }

    /// <summary>Sets num_buffers (virtio 1.3 section 5.1.6.4); 1 without MRG_RXBUF. The header may be cut anywhere.</summary>
    private void WriteBufferCount(ref Chain chain, ushort buffers)
    {
        if (HeaderSize < BufferCountOffset + sizeof(ushort))
        {
            return;
        }

        IoVec* vector = _space.Vectors + chain.FirstVector;
        if (vector->Length >= BufferCountOffset + sizeof(ushort))
        {
            Unsafe.WriteUnaligned(vector->Base + BufferCountOffset, buffers);
            return;
        }

        nuint offset = BufferCountOffset;
        for (int i = 0; i < sizeof(ushort); i++, offset++)
        {
            while (offset >= vector->Length)
            {
                offset -= vector->Length;
                vector++;
            }

            vector->Base[offset] = (byte)(buffers >> (8 * i));
        }
    }

    private void Adapt(int reads, int moved)
    {
        _batch = Math.Clamp(moved == reads ? reads * 2 : moved + 1, 1, MaxBatch);
        if (!_mergeable || moved == 0)
        {
            return;
        }

        int last = _frames[moved - 1].Result;
        if (!_large)
        {
            _large = last > _frames[moved - 1].Limit;
            _smallStreak = 0;
            return;
        }

        bool small = last <= (int)_chains[_reads[0].FirstChain].Length;
        _smallStreak = small ? _smallStreak + 1 : 0;
        _large = _smallStreak < SmallFramesToLeaveLarge;
    }

    private void Finish()
    {
        while (_next < _popped && _chains[_next].Status == PopStatus.BadChain)
        {
            ReturnBadChains(_next + 1);
        }

        bool any = _next > 0;
        RewindFrom(_next);
        if (!any)
        {
            return;
        }

        Counters.Add(WorkerCounter.Batches, 1);
        _ring.Publish();
        if (_ring.MustCall())
        {
            Call();
        }
        else
        {
            Counters.Add(WorkerCounter.CallsSuppressed, 1);
        }
    }

    private void RewindFrom(int chain)
    {
        int slots = 0;
        for (int i = chain; i < _popped; i++)
        {
            slots += _chains[i].Slots;
        }

        if (chain < _popped)
        {
            _space.Truncate(_chains[chain].FirstVector);
        }

        _ring.Rewind(slots);
        _popped = chain;
    }

    /// <summary>Slots from the first chain not returned to the last one seen.</summary>
    private int AvailableSlots()
    {
        int slots = 0;
        for (int i = _next; i < _popped; i++)
        {
            slots += _chains[i].Slots;
        }

        return slots;
    }

    private byte* Scratch(int read) => _scratch + (read * ScratchSize);

    /// <summary>Which chains one read goes into.</summary>
    private struct ReadSpan
    {
        internal int FirstChain;
        internal int Chains;
    }
}
