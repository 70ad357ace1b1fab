using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Worker;

/// <summary>
/// The io_uring engine: one system call for a whole batch. The TAP is non-blocking, so every operation is done, in order,
/// while it is submitted; results are there when the call returns.
/// </summary>
/// <remarks>
/// The kernel goes on after a frame that would block. Reading, that leaves holes, which TapToGuest closes. Writing, frames
/// with a successor that was sent cannot be sent in order any more and count as refused (ENOBUFS); those at the end of the
/// batch are tried again. A TAP without a send-buffer limit, as ours, never says so.
/// </remarks>
internal sealed unsafe class UringTapIo : TapIo
{
    // The kernel moves no more at once (MAX_RW_COUNT).
    private const nuint LongestBuffer = 0x7ffff000;

    private readonly FdLease _tap;
    private readonly IoUring? _ring;

    /// <exception cref="LinuxException">io_uring is not to be had here.</exception>
    internal UringTapIo(OwnedFd tap)
    {
        _tap = tap.Lease();
        try
        {
            _ring = new IoUring(RingPump.MaxBatch, _tap.Number);
            RequireNoWait();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    internal override string Name => "io-uring";

    internal override void Write(FrameIo* frames, int count)
    {
        for (int i = 0; i < count; i++)
        {
            Prepare(IoUring.Operation.Write, IoUring.Operation.WriteVector, in frames[i], i);
        }

        Complete(frames);
        RefuseBlockedBeforeSent(frames, count);
    }

    internal override void Read(FrameIo* frames, int count)
    {
        for (int i = 0; i < count; i++)
        {
            Prepare(IoUring.Operation.Read, IoUring.Operation.ReadVector, in frames[i], i);
        }

        Complete(frames);
    }

    public override void Dispose()
    {
        _ring?.Dispose();
        _tap.Dispose();
    }

    /// <summary>Kernels whose TAP cannot be told not to wait are known by their answer to an empty frame.</summary>
    private void RequireNoWait()
    {
        byte nothing;
        _ring!.Prepare(IoUring.Operation.Write, &nothing, 0, 0);
        _ring.SubmitAndWait();
        if (_ring.TryTake(out _, out int result) && result == -Errno.EOPNOTSUPP)
        {
            throw new LinuxException("write without waiting (RWF_NOWAIT) to the TAP queue", Errno.EOPNOTSUPP);
        }
    }

    /// <summary>A frame in one piece needs no vector, which the kernel would have to fetch.</summary>
    private void Prepare(IoUring.Operation one, IoUring.Operation several, in FrameIo frame, int index)
    {
        if (frame.Count == 1)
        {
            uint length = (uint)Math.Min(frame.Vectors->Length, LongestBuffer);
            _ring!.Prepare(one, frame.Vectors->Base, length, (ulong)index);
        }
        else
        {
            _ring!.Prepare(several, frame.Vectors, (uint)frame.Count, (ulong)index);
        }
    }

    private void Complete(FrameIo* frames)
    {
        _ring!.SubmitAndWait();
        while (_ring.TryTake(out ulong index, out int result))
        {
            frames[index].Result = result;
        }
    }

    private static void RefuseBlockedBeforeSent(FrameIo* frames, int count)
    {
        bool sentLater = false;
        for (int i = count - 1; i >= 0; i--)
        {
            ref int result = ref frames[i].Result;
            sentLater |= result != FrameIo.WouldBlock;
            result = sentLater && result == FrameIo.WouldBlock ? -Errno.ENOBUFS : result;
        }
    }
}
