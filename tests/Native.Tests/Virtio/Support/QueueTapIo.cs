using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>An I/O engine whose TAP is a queue of frames in this process; what is written to it is only counted.</summary>
/// <param name="stopsAtLimit">True: as the plain engine reads. False: as one that has submitted all reads already.</param>
internal sealed unsafe class QueueTapIo(bool stopsAtLimit) : TapIo
{
    internal Queue<byte[]> Frames { get; } = [];

    internal int Written { get; private set; }

    internal override string Name => "queue";

    internal override void Write(FrameIo* frames, int count)
    {
        for (int i = 0; i < count; i++)
        {
            frames[i].Result = 0;
            for (int vector = 0; vector < frames[i].Count; vector++)
            {
                frames[i].Result += (int)frames[i].Vectors[vector].Length;
            }
        }

        Written += count;
    }

    internal override void Read(FrameIo* frames, int count)
    {
        for (int i = 0; i < count; i++)
        {
            frames[i].Result = Frames.TryDequeue(out byte[]? frame) ? Scatter(frame, ref frames[i]) : FrameIo.WouldBlock;
            if (frames[i].Result < 0 || (stopsAtLimit && frames[i].Result > frames[i].Limit))
            {
                for (i++; i < count; i++)
                {
                    frames[i].Result = FrameIo.NotTried;
                }
            }
        }
    }

    public override void Dispose()
    {
    }

    private static int Scatter(ReadOnlySpan<byte> frame, ref FrameIo into)
    {
        int moved = 0;
        for (int i = 0; i < into.Count && !frame.IsEmpty; i++)
        {
            int part = (int)Math.Min((nuint)frame.Length, into.Vectors[i].Length);
            frame[..part].CopyTo(new Span<byte>(into.Vectors[i].Base, part));
            frame = frame[part..];
            moved += part;
        }

        return moved;
    }
}
