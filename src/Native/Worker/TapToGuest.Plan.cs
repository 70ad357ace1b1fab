using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <content>
/// Which chains the next reads go into: one small frame a chain and many reads a batch, or one large frame over many chains.
/// The frames that came last decide.
/// </content>
internal sealed unsafe partial class TapToGuest<TRing>
{
    private const int SmallFramesToLeaveLarge = 4;

    private readonly ReadSpan[] _reads = GC.AllocateArray<ReadSpan>(MaxBatch, pinned: true);
    private readonly IoVec* _joined = (IoVec*)NativeMemory.AllocZeroed(VectorSpace.MaxPerChain + 1, (nuint)sizeof(IoVec));
    private int _batch = 1;
    private bool _large;
    private int _smallStreak;

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

        // A read that has room for any frame needs no spill buffer, and where that is one buffer no vector either.
        if (capacity < HeaderSize + MaxFrame)
        {
            _space.AppendSpill(Scratch(read) + capacity, (nuint)(ScratchSize - capacity));
            vectors++;
        }

        _reads[read] = new ReadSpan { FirstChain = firstChain, Chains = chains };
        ref FrameIo frame = ref _frames[read];
        frame.Vectors = _space.Vectors + first.FirstVector;
        frame.Count = vectors;
        frame.Limit = capacity;
        frame.Result = FrameIo.NotTried;
        if (chains > 1)
        {
            Join(ref frame);
        }
    }

    /// <summary>
    /// Drivers cut receive buffers from larger pieces of memory, so that chains often lie one behind the other. The kernel then
    /// copies a frame in one go. The chains' own vectors stay as they are, for what is done with the frame afterwards.
    /// </summary>
    private void Join(ref FrameIo frame)
    {
        IoVec* from = frame.Vectors;
        IoVec* to = _joined;
        *to = *from;
        for (int i = 1; i < frame.Count; i++)
        {
            if (to->Base + to->Length == from[i].Base)
            {
                to->Length += from[i].Length;
            }
            else
            {
                *++to = from[i];
            }
        }

        frame.Vectors = _joined;
        frame.Count = (int)(to - _joined) + 1;
    }

    /// <summary>Which chains one read goes into.</summary>
    private struct ReadSpan
    {
        internal int FirstChain;
        internal int Chains;
    }
}
