using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <summary>
/// Writes batches of frames to the TAP, with consecutive frames of one flow merged into one GSO frame, for which the kernel's
/// work is done once.
/// <list type="bullet">
/// <item>All within one batch: no frame waits for another one.</item>
/// <item>The order of all frames stays. A frame that cannot be merged ends the merged frame before it.</item>
/// <item>Each frame gets a result as if it had been written alone.</item>
/// <item>A merged frame that the TAP refuses is taken apart and written again as single frames, where no frame was sent after
/// it; else its frames are dropped, as any frame is that the TAP refuses. So that the former is the rule, the first merged frame
/// of each kind, and the next one after a refusal, is written as the last of its batch's part.</item>
/// <item>Refused (EINVAL) and then taken in single frames: the kernel does not know that kind of GSO frame, and it is not
/// tried again.</item>
/// </list>
/// One worker's; that worker's thread only, for one ring at a time.
/// </summary>
internal sealed unsafe class SegmentMerger : IDisposable
{
    // Every vector of a batch, and each merged frame's headers.
    private const int Vectors = RingPump.BatchVectors + VectorSpace.MaxPerChain + 1 + RingPump.MaxBatch;
    private const int GsoTypes = VirtioNetHeader.GsoUdpL4 + 1;

    private readonly WorkerCounters _counters;
    private readonly Action<string> _refused;
    private readonly FrameIo* _writes = Allocate<FrameIo>(RingPump.MaxBatch);
    private readonly IoVec* _vectors = Allocate<IoVec>(Vectors);
    private readonly byte* _headers = Allocate<byte>(RingPump.MaxBatch * SegmentReader.Room);
    private readonly int[] _lengths = new int[RingPump.MaxBatch];
    private readonly Part[] _parts = new Part[RingPump.MaxBatch];
    private readonly Trust[] _trust = new Trust[GsoTypes];

    /// <param name="counters">Where to count.</param>
    /// <param name="refused">Called once with each kind of merged frame that the kernel turns out not to know.</param>
    internal SegmentMerger(WorkerCounters counters, Action<string> refused)
    {
        _counters = counters;
        _refused = refused;
    }

    /// <summary>What is known of the kernel's mind about a kind of merged frame.</summary>
    private enum Trust : byte
    {
        /// <summary>The next one is a trial.</summary>
        Unknown,

        /// <summary>The last one was taken.</summary>
        Taken,

        /// <summary>Given up.</summary>
        Refused,
    }

    /// <summary>Writes frames in order, as <see cref="TapIo.Write"/> does.</summary>
    /// <param name="io">The engine.</param>
    /// <param name="frames">The frames, each with its virtio header and at least that long.</param>
    /// <param name="count">How many; at most <see cref="RingPump.MaxBatch"/>.</param>
    /// <param name="headerSize">Bytes of the virtio header: 10 or 12.</param>
    internal void Write(TapIo io, FrameIo* frames, int count, int headerSize)
    {
        int next = 0;
        while (next < count)
        {
            int writes = Gather(frames, ref next, count, headerSize);
            io.Write(_writes, writes);
            if (!Spread(io, frames, writes))
            {
                for (; next < count; next++)
                {
                    frames[next].Result = FrameIo.NotTried;
                }
            }
        }
    }

    public void Dispose()
    {
        NativeMemory.Free(_writes);
        NativeMemory.Free(_vectors);
        NativeMemory.Free(_headers);
    }

    private static T* Allocate<T>(int count)
        where T : unmanaged => (T*)NativeMemory.AllocZeroed((nuint)count, (nuint)sizeof(T));

    /// <summary>Merges frames from <paramref name="next"/> on, up to the last or to a merged one that is a trial.</summary>
    /// <returns>How many writes they make.</returns>
    private int Gather(FrameIo* frames, ref int next, int count, int headerSize)
    {
        int writes = 0;
        IoVec* vectors = _vectors;
        MergedFrame merged = default;
        for (; next < count; next++)
        {
            ref FrameIo frame = ref frames[next];
            byte* headers = _headers + (writes * SegmentReader.Room);
            Segment segment = ReadSegment(frame, next, headerSize, headers);
            if (writes > 0 && merged.Continues(segment, headers, frame.Count))
            {
                merged.Add(segment, frame);
                continue;
            }

            if (writes > 0)
            {
                vectors = Close(merged, writes - 1, frames, vectors);
                if (merged.Count > 1 && _trust[merged.GsoType] == Trust.Unknown)
                {
                    return writes;
                }
            }

            merged = MergedFrame.Begin(segment, headers, headerSize, vectors);
            merged.Add(segment, frame);
            _parts[writes++].First = next;
        }

        Close(merged, writes - 1, frames, vectors);
        return writes;
    }

    private Segment ReadSegment(in FrameIo frame, int index, int headerSize, byte* headers)
    {
        nuint length = 0;
        for (int i = 0; i < frame.Count; i++)
        {
            length += frame.Vectors[i].Length;
        }

        _lengths[index] = (int)length;
        Segment segment = SegmentReader.Read(frame, (int)length, headerSize, headers);
        return _trust[segment.GsoType] == Trust.Refused ? default : segment;
    }

    /// <returns>Where the next merged frame's vectors begin.</returns>
    private IoVec* Close(in MergedFrame merged, int write, FrameIo* frames, IoVec* vectors)
    {
        ref Part part = ref _parts[write];
        part.Count = merged.Count;
        part.GsoType = merged.GsoType;
        if (merged.Count == 1)
        {
            _writes[write] = frames[part.First];
            return vectors;
        }

        merged.WriteHeaders();
        _writes[write].Vectors = merged.Vectors;
        _writes[write].Count = merged.VectorCount;
        return vectors + merged.VectorCount;
    }

    /// <summary>Gives each frame the result of the write that it was part of.</summary>
    /// <returns>False when the TAP is full.</returns>
    private bool Spread(TapIo io, FrameIo* frames, int writes)
    {
        for (int i = 0; i < writes; i++)
        {
            ref Part part = ref _parts[i];
            int result = _writes[i].Result;
            if (part.Count > 1 && Note(part, result) && i == writes - 1)
            {
                WriteApart(io, frames, part, result);
                continue;
            }

            for (int frame = part.First; frame < part.First + part.Count; frame++)
            {
                frames[frame].Result = result >= 0 ? _lengths[frame] : result;
            }
        }

        ref Part last = ref _parts[writes - 1];
        return !IsBlocked(frames[last.First + last.Count - 1].Result);
    }

    /// <summary>Counts and remembers what became of a merged frame.</summary>
    /// <returns>True when it was refused.</returns>
    private bool Note(in Part part, int result)
    {
        if (IsBlocked(result))
        {
            return false;
        }

        _trust[part.GsoType] = result >= 0 ? Trust.Taken : Trust.Unknown;
        _counters.Add(
            result >= 0 ? WorkerCounter.TxMerged : WorkerCounter.TxMergesRefused,
            result >= 0 ? part.Count : 1);
        return result < 0;
    }

    /// <summary>Writes the frames of a refused merged frame one by one; nothing was sent after it.</summary>
    private void WriteApart(TapIo io, FrameIo* frames, in Part part, int refusal)
    {
        io.Write(frames + part.First, part.Count);
        bool allTaken = true;
        for (int i = part.First; i < part.First + part.Count; i++)
        {
            allTaken &= frames[i].Result >= 0;
        }

        if (allTaken && refusal == -Errno.EINVAL)
        {
            _trust[part.GsoType] = Trust.Refused;
            _refused(NameOf(part.GsoType));
        }
    }

    private static bool IsBlocked(int result) => result is FrameIo.WouldBlock or FrameIo.NotTried;

    private static string NameOf(byte gsoType) => gsoType switch
    {
        VirtioNetHeader.GsoUdpL4 => "UDP",
        VirtioNetHeader.GsoTcp4 => "TCP over IPv4",
        _ => "TCP over IPv6",
    };

    /// <summary>One write: which frames are in it.</summary>
    private struct Part
    {
        internal int First;
        internal int Count;
        internal byte GsoType;
    }
}
