using System.Runtime.InteropServices;
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
/// <item>A frame that does not fit into the chains there are is held, with all that were read after it, and tried again at the
/// driver's next kick; it is dropped when there is no room for it in a while.</item>
/// <item>Without chains the TAP is left alone, and the driver is asked for a kick.</item>
/// </list>
/// Between two runs every chain popped has been returned or rewound; only held frames are kept.
/// </summary>
internal sealed unsafe partial class TapToGuest<TRing> : RingPump
    where TRing : struct, IVirtqueue<TRing>
{
    private const int MaxChains = 1024;
    private const int ScratchSize = 68 * 1024;

    private readonly TapReadiness _tap;
    private readonly VectorSpace _space = new(MaxBatch * 20);
    private readonly Chain[] _chains = GC.AllocateArray<Chain>(MaxChains, pinned: true);
    private readonly FrameIo* _frames = (FrameIo*)NativeMemory.AllocZeroed(MaxBatch, (nuint)sizeof(FrameIo));

    // One scratch buffer a read; a held frame stays in it. Pages that are never spilled into are never touched.
    private readonly byte* _scratch = (byte*)NativeMemory.Alloc(MaxBatch, ScratchSize);
    private TRing _ring;
    private DirtyLog? _log;
    private GuestView _view;
    private bool _mergeable;
    private int _popped;
    private int _next;
    private bool _starved;
    private long _framesMoved;
    private long _bytesMoved;

    internal TapToGuest(
        TRing ring, RingPlan plan, GuestView view, TapIo io, TapReadiness tap, WorkerCounters counters, TimeSpan heldFor)
        : base(plan, view, io, counters)
    {
        _heldMilliseconds = (int)heldFor.TotalMilliseconds;
        _ring = ring;
        _tap = tap;
        _mergeable = plan.Features.HasFlag(VirtioFeatures.MrgRxbuf);
        _log = LogOf(plan, view);
        _view = view;
    }

    internal override uint Base => _ring.Base;

    internal override bool Run()
    {
        if (Broken is not null || Stalled || !Enabled || (!_tap.Readable && !Holds))
        {
            return false;
        }

        _space.Truncate(0);
        _popped = 0;
        _next = 0;
        bool moved = Holds ? RetryHeld() : ReadBatch();
        Finish();
        return moved;
    }

    internal override bool PrepareSleep()
    {
        if (Broken is not null || Stalled || !Enabled)
        {
            return false;
        }

        if (Holds)
        {
            return _ring.RequestKicks(_heldAhead);
        }

        if (_ring.HasWork)
        {
            // Buffers wait for frames, and then the TAP's edge is enough; or they came since the last look, unkicked, and
            // frames wait for them.
            return _tap.Readable;
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
        Counters.Add(WorkerCounter.RxDropped, _heldEnd - _heldFirst);
        _space.Dispose();
        NativeMemory.Free(_frames);
        NativeMemory.Free(_scratch);
        NativeMemory.Free(_joined);
    }

    private protected override string? Reattach(RingPlan plan, GuestView view)
    {
        _mergeable = plan.Features.HasFlag(VirtioFeatures.MrgRxbuf);
        _log = LogOf(plan, view);
        _view = view;
        return _ring.TryReattach(plan, view);
    }

    private bool ReadBatch()
    {
        int reads = _large && _mergeable ? PlanLargeRead() : PlanSmallReads();
        if (reads == 0)
        {
            CountStarved();
            return _popped > 0;
        }

        _starved = false;
        Io.Read(_frames, reads);
        int moved = Settle(reads);
        Adapt(reads, moved);
        return moved > 0;
    }

    /// <summary>Once for each time without buffers, however often they are looked for meanwhile.</summary>
    private void CountStarved()
    {
        if (_popped == 0 && Broken is null && !Stalled && !_starved)
        {
            _starved = true;
            Counters.Add(WorkerCounter.RxStarved, 1);
        }
    }

    /// <summary>Pops one chain. One too short for the header is bad; one longer than any frame is cut in account only.</summary>
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

        if (status == PopStatus.Missing)
        {
            Stall(_ring.Missing!.Value);
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

    private void Finish()
    {
        ReturnBadChains(FirstGoodChain());
        bool any = _next > 0;
        RewindFrom(_next);
        if (!any)
        {
            return;
        }

        Counters.Add(WorkerCounter.Batches, 1);
        Counters.Add(WorkerCounter.RxFrames, _framesMoved);
        Counters.Add(WorkerCounter.RxBytes, _bytesMoved);
        (_framesMoved, _bytesMoved) = (0, 0);
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
        int slots = SlotsFrom(chain);
        if (chain < _popped)
        {
            _space.Truncate(_chains[chain].FirstVector);
        }

        _ring.Rewind(slots);
        _popped = chain;
    }

    /// <summary>Slots from one chain to the last one seen.</summary>
    private int SlotsFrom(int chain)
    {
        int slots = 0;
        for (; chain < _popped; chain++)
        {
            slots += _chains[chain].Slots;
        }

        return slots;
    }

    private byte* Scratch(int read) => _scratch + (read * ScratchSize);
}
