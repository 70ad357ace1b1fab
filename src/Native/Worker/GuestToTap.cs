using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <summary>
/// Transmit: chains from the guest's transmit ring become frames on the TAP.
/// <list type="bullet">
/// <item>Up to <see cref="RingPump.MaxBatch"/> chains are popped, written in order, returned and published together.</item>
/// <item>A chain is header and frame in any layout; the TAP takes the same header, so the buffers go to it as they are.</item>
/// <item>Would block: that chain and all after it go back on the ring, and the pump waits for the TAP to become writable.</item>
/// <item>Refused by the TAP (bad header, interface down, too short): dropped and counted; the chain is returned.</item>
/// <item>Where frames are merged, see <see cref="SegmentMerger"/>; all else is the same.</item>
/// <item>A ring that is disabled is drained: every chain is returned, nothing is sent.</item>
/// </list>
/// </summary>
internal sealed unsafe class GuestToTap<TRing> : RingPump
    where TRing : struct, IVirtqueue<TRing>
{
    // A batch of these fits into the second-level cache of any server; a batch of unsegmented frames fits into none.
    private const uint LongestPrefetched = 2048;

    private readonly TapReadiness _tap;
    private readonly SegmentMerger? _merger;
    private readonly VectorSpace _space = new(BatchVectors);
    private readonly Chain[] _chains = GC.AllocateArray<Chain>(MaxBatch, pinned: true);
    private readonly FrameIo* _frames = (FrameIo*)NativeMemory.AllocZeroed(MaxBatch, (nuint)sizeof(FrameIo));
    private TRing _ring;

    /// <param name="ring">The ring.</param>
    /// <param name="plan">The ring's plan.</param>
    /// <param name="view">The guest's memory.</param>
    /// <param name="io">Writes to the TAP.</param>
    /// <param name="tap">Whether it takes frames.</param>
    /// <param name="counters">Where to count.</param>
    /// <param name="merger">Merges frames before they are written; null = each goes as it is.</param>
    internal GuestToTap(
        TRing ring,
        RingPlan plan,
        GuestView view,
        TapIo io,
        TapReadiness tap,
        WorkerCounters counters,
        SegmentMerger? merger)
        : base(plan, view, io, counters)
    {
        _ring = ring;
        _tap = tap;
        _merger = merger;
    }

    internal override uint Base => _ring.Base;

    internal override bool Run()
    {
        if (Broken is not null || Stalled || (Enabled && !_tap.Writable))
        {
            return false;
        }

        _space.Truncate(0);
        int chains = PopBatch(out int frames);
        if (chains == 0)
        {
            return false;
        }

        if (Enabled)
        {
            _ring.Prefetch(MaxBatch, LongestPrefetched);
            if (_merger is null)
            {
                Io.Write(_frames, frames);
            }
            else
            {
                _merger.Write(Io, _frames, frames, HeaderSize);
            }
        }

        Settle(chains);
        Counters.Add(WorkerCounter.Batches, 1);
        return true;
    }

    internal override bool PrepareSleep() => Broken is null && !Stalled && (!Enabled || _tap.Writable) && _ring.RequestKicks(0);

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
    }

    private protected override string? Reattach(RingPlan plan, GuestView view) => _ring.TryReattach(plan, view);

    private int PopBatch(out int frames)
    {
        int count = 0;
        frames = 0;
        while (count < MaxBatch && _space.HasRoom)
        {
            ref Chain chain = ref _chains[count];
            PopStatus status = _ring.TryPop(_space, deviceWrites: false, out chain);
            if (status == PopStatus.Missing)
            {
                Stall(_ring.Missing!.Value);
                break;
            }

            if (status is PopStatus.Empty or PopStatus.BrokenRing)
            {
                Broken = status == PopStatus.BrokenRing ? "the transmit ring's indices are out of range" : Broken;
                break;
            }

            count++;
            if (chain.Length < (ulong)HeaderSize || chain.Length > (ulong)(HeaderSize + MaxFrame))
            {
                chain.Status = PopStatus.BadChain;
            }

            if (chain.Status == PopStatus.Popped)
            {
                ref FrameIo frame = ref _frames[frames++];
                frame.Vectors = _space.Vectors + chain.FirstVector;
                frame.Count = chain.VectorCount;
            }
        }

        return count;
    }

    /// <summary>Returns the chains in order; from the first frame that would block on, they go back on the ring.</summary>
    private void Settle(int count)
    {
        int frame = 0;
        long sent = 0;
        long bytes = 0;
        int settled = 0;
        int fatal = 0;
        for (; settled < count; settled++)
        {
            ref Chain chain = ref _chains[settled];
            if (chain.Status == PopStatus.BadChain)
            {
                Counters.Add(WorkerCounter.TxBadChains, 1);
            }
            else if (!Enabled)
            {
                Counters.Add(WorkerCounter.TxDiscarded, 1);
            }
            else
            {
                int result = _frames[frame++].Result;
                if (result >= 0)
                {
                    sent++;
                    bytes += result - HeaderSize;
                }
                else if (result is FrameIo.WouldBlock or FrameIo.NotTried)
                {
                    _tap.Writable = false;
                    Counters.Add(WorkerCounter.TxRetried, 1);
                    break;
                }
                else
                {
                    fatal = TapErrors.IsFatal(-result) ? -result : fatal;
                    Counters.Add(WorkerCounter.TxDropped, 1);
                }
            }
        }

        Counters.Add(WorkerCounter.TxFrames, sent);
        Counters.Add(WorkerCounter.TxBytes, bytes);
        Finish(settled, count);
        if (fatal != 0)
        {
            throw new LinuxException("write to the TAP queue", fatal);
        }
    }

    private void Finish(int settled, int count)
    {
        int slots = 0;
        for (int i = settled; i < count; i++)
        {
            slots += _chains[i].Slots;
        }

        _ring.Rewind(slots);
        if (settled == 0)
        {
            return;
        }

        _ring.UseUnwritten(_chains.AsSpan(0, settled));
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
}
