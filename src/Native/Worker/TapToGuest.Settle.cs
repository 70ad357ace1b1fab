using System.Runtime.CompilerServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <content>
/// What becomes of the reads of a batch. In the common case each frame is where it belongs and its chains are returned in
/// place; from the first that is not on, frames are made contiguous and laid out anew.
/// </content>
internal sealed unsafe partial class TapToGuest<TRing>
{
    private const int BufferCountOffset = 10;

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
                LayOut(later, length);
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

        ref ReadSpan span = ref _reads[read];
        ReturnBadChains(span.FirstChain);
        if (span.Chains == 1)
        {
            ReturnOneChain(span.FirstChain, length);
        }
        else
        {
            ReturnChains(span.FirstChain, length);
        }

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
            MarkWritten(_chains[_reads[read].FirstChain].FirstVector, left);
        }

        for (IoVec* vector = frame.Vectors; left > 0; vector++)
        {
            int part = (int)Math.Min((nuint)left, vector->Length);
            Unsafe.CopyBlockUnaligned(to, vector->Base, (uint)part);
            to += part;
            left -= part;
        }
    }

    /// <summary>Returns the one chain that a frame lies in.</summary>
    private void ReturnOneChain(int chain, int length)
    {
        ref Chain used = ref _chains[chain];
        WriteBufferCount(ref used, 1);
        if (_log is not null)
        {
            MarkWritten(used.FirstVector, length);
        }

        _ring.Use(in used, (uint)length);
        _next = chain + 1;
        Count(length);
    }

    /// <summary>Returns the chains of a frame, from <paramref name="first"/> on, with their count in its header.</summary>
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
        Count(length);
    }

    /// <summary>Counters move once a batch.</summary>
    private void Count(int length)
    {
        _framesMoved++;
        _bytesMoved += length - HeaderSize;
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
}
