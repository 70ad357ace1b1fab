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
            ref FrameIo frame = ref frames[i];
            if (frame.Count == 1)
            {
                _ring!.Prepare(IoUring.Operation.Write, frame.Vectors->Base, (uint)frame.Vectors->Length, (ulong)i);
            }
            else
            {
                _ring!.Prepare(IoUring.Operation.WriteVector, frame.Vectors, (uint)frame.Count, (ulong)i);
            }
        }

        Complete(frames);
        RefuseBlockedBeforeSent(frames, count);
    }

    internal override void Read(FrameIo* frames, int count)
    {
        for (int i = 0; i < count; i++)
        {
            ref FrameIo frame = ref frames[i];
            _ring!.Prepare(IoUring.Operation.ReadVector, frame.Vectors, (uint)frame.Count, (ulong)i);
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
