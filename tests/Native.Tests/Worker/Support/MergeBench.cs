using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker.Support;

/// <summary>
/// A <see cref="SegmentMerger"/> between frames in memory, cut as one likes, and an engine that keeps what is written.
/// </summary>
internal sealed unsafe class MergeBench : IDisposable
{
    private readonly SegmentMerger _merger;
    private readonly FrameIo* _frames = (FrameIo*)NativeMemory.AllocZeroed(RingPump.MaxBatch, (nuint)sizeof(FrameIo));
    private readonly int _headerSize;

    internal MergeBench(int headerSize = VirtioNetHeader.Size)
    {
        _headerSize = headerSize;
        _merger = new SegmentMerger(Counters, Refused.Add);
    }

    internal WorkerCounters Counters { get; } = new();

    internal RecordingIo Io { get; } = new();

    /// <summary>Kinds that were given up.</summary>
    internal List<string> Refused { get; } = [];

    /// <summary>What the TAP was given by the last batch, refused frames included.</summary>
    internal IReadOnlyList<byte[]> Written => Io.Written;

    /// <summary>How many frames each write of the last batch stood for.</summary>
    internal int[] Sizes => [.. Written.Select(written => ReferenceSegmenter.Cut(written, _headerSize).Count())];

    /// <summary>Writes one batch.</summary>
    /// <returns>The result of each frame.</returns>
    internal int[] Write(params GuestFrame[] frames) => Write([.. frames.Select(frame => frame.Build(_headerSize))], _ => []);

    /// <summary>Writes one batch of frames in pieces.</summary>
    /// <param name="frames">Each with its virtio header.</param>
    /// <param name="cuts">Where the frame of a number is cut.</param>
    internal int[] Write(IReadOnlyList<byte[]> frames, Func<int, IReadOnlyList<int>> cuts)
    {
        Io.Written.Clear();
        int pieces = frames.Select((frame, i) => cuts(i).Count + 1).Sum();
        byte* memory = (byte*)NativeMemory.Alloc((nuint)frames.Sum(frame => frame.Length) + 1);
        IoVec* vectors = (IoVec*)NativeMemory.Alloc((nuint)pieces, (nuint)sizeof(IoVec));
        try
        {
            Lay(frames, cuts, memory, vectors);
            byte[] before = new Span<byte>(memory, frames.Sum(frame => frame.Length)).ToArray();
            _merger.Write(Io, _frames, frames.Count, _headerSize);
            Assert.True(Io.Meanwhile is not null || before.AsSpan().SequenceEqual(new Span<byte>(memory, before.Length)));
            return [.. Enumerable.Range(0, frames.Count).Select(i => _frames[i].Result)];
        }
        finally
        {
            NativeMemory.Free(memory);
            NativeMemory.Free(vectors);
        }
    }

    public void Dispose()
    {
        _merger.Dispose();
        Io.Dispose();
        NativeMemory.Free(_frames);
    }

    private void Lay(IReadOnlyList<byte[]> frames, Func<int, IReadOnlyList<int>> cuts, byte* memory, IoVec* vectors)
    {
        for (int i = 0; i < frames.Count; i++)
        {
            _frames[i] = new FrameIo { Vectors = vectors, Result = 12345 };
            frames[i].CopyTo(new Span<byte>(memory, frames[i].Length));
            int from = 0;
            foreach (int to in (int[])[.. cuts(i).Where(cut => cut < frames[i].Length).Order(), frames[i].Length])
            {
                *vectors++ = new IoVec { Base = memory + from, Length = (nuint)(to - from) };
                _frames[i].Count++;
                from = to;
            }

            memory += frames[i].Length;
        }
    }
}

/// <summary>Keeps what is written, and answers as it is told.</summary>
internal sealed unsafe class RecordingIo : TapIo
{
    internal override string Name => "recording";

    internal List<byte[]> Written { get; } = [];

    /// <summary>What becomes of a write: its length, or a negated errno. Default: all are taken.</summary>
    internal Func<byte[], int> Answer { get; set; } = written => written.Length;

    /// <summary>Happens before the vectors of a write are read, as a guest's doings may.</summary>
    internal Action<FrameIo>? Meanwhile { get; set; }

    internal override void Write(FrameIo* frames, int count)
    {
        bool full = false;
        for (int i = 0; i < count; i++)
        {
            if (full)
            {
                frames[i].Result = FrameIo.NotTried;
                continue;
            }

            Meanwhile?.Invoke(frames[i]);
            byte[] written = Gather(frames[i]);
            frames[i].Result = Answer(written);
            full = frames[i].Result == FrameIo.WouldBlock;
            if (!full)
            {
                Written.Add(written);
            }
        }
    }

    internal override void Read(FrameIo* frames, int count) => throw new NotSupportedException();

    public override void Dispose()
    {
    }

    private static byte[] Gather(FrameIo frame)
    {
        List<byte> bytes = [];
        for (int i = 0; i < frame.Count; i++)
        {
            bytes.AddRange(new ReadOnlySpan<byte>(frame.Vectors[i].Base, (int)frame.Vectors[i].Length));
        }

        return [.. bytes];
    }
}
