using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Worker;

/// <summary>
/// An I/O engine: moves batches of frames between vectors and one TAP queue. One virtual call a batch. The worker's
/// thread only. Never blocks, never throws: each frame carries its own result.
/// </summary>
internal abstract unsafe class TapIo : IDisposable
{
    /// <summary>What the engine is called in reports and logs.</summary>
    internal abstract string Name { get; }

    /// <summary>
    /// Writes frames in order. After one that would block none is sent, and they are left with
    /// <see cref="FrameIo.NotTried"/> or would block as well.
    /// </summary>
    internal abstract void Write(FrameIo* frames, int count);

    /// <summary>
    /// Reads frames in order, at most one into each entry. Where the engine can stop, it does so after the TAP ran dry and
    /// after a frame that passed its limit, and leaves the rest with <see cref="FrameIo.NotTried"/>.
    /// </summary>
    internal abstract void Read(FrameIo* frames, int count);

    public abstract void Dispose();
}

/// <summary>The plain engine: one readv or writev a frame, read or write where the frame is in one piece.</summary>
internal sealed unsafe class SyscallTapIo : TapIo
{
    private readonly FdLease _tap;

    internal SyscallTapIo(OwnedFd tap) => _tap = tap.Lease();

    internal override string Name => "syscall";

    internal override void Write(FrameIo* frames, int count)
    {
        int fd = _tap.Number;
        for (int i = 0; i < count; i++)
        {
            ref FrameIo frame = ref frames[i];
            IoResult result = FrameCalls.Write(fd, frame.Vectors, frame.Count);
            frame.Result = (int)result.Count;
            if (result.WouldBlock)
            {
                LeaveFrom(frames, i + 1, count);
                return;
            }
        }
    }

    internal override void Read(FrameIo* frames, int count)
    {
        int fd = _tap.Number;
        for (int i = 0; i < count; i++)
        {
            ref FrameIo frame = ref frames[i];
            IoResult result = FrameCalls.Read(fd, frame.Vectors, frame.Count);
            frame.Result = (int)result.Count;
            if (!result.Ok || frame.Result > frame.Limit)
            {
                LeaveFrom(frames, i + 1, count);
                return;
            }
        }
    }

    public override void Dispose() => _tap.Dispose();

    private static void LeaveFrom(FrameIo* frames, int first, int count)
    {
        for (int i = first; i < count; i++)
        {
            frames[i].Result = FrameIo.NotTried;
        }
    }
}
