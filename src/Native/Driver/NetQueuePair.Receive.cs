using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Driver;

/// <content>Receive: buffers to the device, frames back.</content>
public sealed partial class NetQueuePair
{
    /// <summary>Puts every receive buffer on the ring that fits and is not there yet.</summary>
    /// <returns>How many are there.</returns>
    public int PostAll()
    {
        while (_posted < Math.Min(_options.ReceiveBuffers, _options.QueueSize) && Post(_posted))
        {
            _posted++;
        }

        FlushRx();
        return _posted;
    }

    /// <summary>How many frames of a length all receive buffers hold together.</summary>
    /// <param name="length">Bytes of a frame.</param>
    public int FramesInRing(int length)
    {
        int buffers = (Layout.HeaderSize + length + Layout.ReceiveSize - 1) / Layout.ReceiveSize;
        return Math.Min(_options.ReceiveBuffers, _options.QueueSize) / buffers;
    }

    /// <summary>
    /// Takes one frame. The buffers of the frame before go back on the ring, invisible until <see cref="FlushRx"/>.
    /// </summary>
    /// <param name="header">Its header. Its number of buffers is heeded with MRG_RXBUF alone.</param>
    /// <param name="frame">Its bytes, valid until the next call.</param>
    /// <exception cref="RingViolationException">The device broke the rules of the ring or of mergeable buffers.</exception>
    public bool TryReceive(out VirtioNetHeader header, out ReadOnlySpan<byte> frame)
    {
        Repost();
        if (!TryCollectBuffer(out UsedChain first))
        {
            header = default;
            frame = default;
            return false;
        }

        if (first.Length < (uint)Layout.HeaderSize)
        {
            throw new RingViolationException($"A receive buffer came back with {first.Length} bytes.");
        }

        Span<byte> bytes = _ram.Bytes(BufferAddress((int)first.Token), (int)first.Length);
        header = ReadHeader(bytes);
        frame = bytes[Layout.HeaderSize..];
        if (Layout.Mergeable && header.Buffers != 1)
        {
            frame = Assemble(frame, header.Buffers);
        }

        return true;
    }

    /// <summary>Shows the device the free buffers, those of the last frame included; kicks if it wants to be kicked.</summary>
    public void FlushRx()
    {
        Repost();
        if (Rx.Publish())
        {
            RxKick.Signal();
        }
    }

    private VirtioNetHeader ReadHeader(ReadOnlySpan<byte> bytes)
    {
        Span<byte> whole = stackalloc byte[VirtioNetHeader.Size];
        whole.Clear();
        bytes[..Layout.HeaderSize].CopyTo(whole);
        VirtioNetHeader.TryRead(whole, out VirtioNetHeader header);
        return header;
    }

    private ReadOnlySpan<byte> Assemble(ReadOnlySpan<byte> firstPart, int buffers)
    {
        firstPart.CopyTo(_assembled);
        int length = firstPart.Length;
        if (buffers == 0)
        {
            throw new RingViolationException("A mergeable frame claims no buffer.");
        }

        for (int i = 1; i < buffers; i++)
        {
            if (!TryCollectBuffer(out UsedChain next) || length + next.Length > _assembled.Length)
            {
                throw new RingViolationException($"A frame claims {buffers} buffers; {i} came, with {length} bytes.");
            }

            _ram.Bytes(BufferAddress((int)next.Token), (int)next.Length).CopyTo(_assembled.AsSpan(length));
            length += (int)next.Length;
        }

        return _assembled.AsSpan(0, length);
    }

    private bool TryCollectBuffer(out UsedChain used)
    {
        while (Rx.TryCollect(out used))
        {
            if (used.Token >= 0)
            {
                _toRepost.Add(used);
                return true;
            }

            ForeignRx.Add(used);
        }

        return false;
    }

    private void Repost()
    {
        foreach (UsedChain used in _toRepost)
        {
            Post((int)used.Token);
        }

        _toRepost.Clear();
    }

    private bool Post(int buffer)
    {
        ulong address = BufferAddress(buffer);
        int left = Layout.ReceiveSize;
        for (int i = 0; i < _receivePieces.Length; i++)
        {
            int length = i == _receivePieces.Length - 1 ? left : Layout.ReceiveSize / _receivePieces.Length;
            _receivePieces[i] = new RingBuffer(address, (uint)length, Writable: true);
            address += (ulong)length;
            left -= length;
        }

        return Rx.TryAdd(_receivePieces, buffer, _indirect && _receivePieces.Length > 1);
    }
}
