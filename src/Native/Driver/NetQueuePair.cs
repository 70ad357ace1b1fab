using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Driver;

/// <summary>
/// One queue pair of the guest's network card: frames out, frames in. One thread at a time for sending, one (perhaps
/// another) for receiving.
/// </summary>
/// <remarks>
/// A transmit buffer ("slot") holds header and frame, one after the other; its number is the chain's token. A receive
/// buffer's number is its chain's token too. Buffers are handed back to the ring when their chain has come back, so
/// that the account of <see cref="DriverRing"/> covers them all. A test may add chains of its own to <see cref="Rx"/>
/// and <see cref="Tx"/>, with negative tokens; they end up in <see cref="ForeignRx"/> and <see cref="ForeignTx"/>.
/// </remarks>
public sealed class NetQueuePair : IDisposable
{
    private readonly GuestRam _ram;
    private readonly VirtioNetOptions _options;
    private readonly ulong _transmitBuffers;
    private readonly ulong _receiveBuffers;
    private readonly Stack<int> _freeSlots;
    private readonly RingBuffer[] _pieces;
    private readonly RingBuffer[] _receivePieces;
    private readonly bool _indirect;
    private readonly byte[] _assembled;
    private readonly List<UsedChain> _toRepost = [];
    private int _posted;

    internal NetQueuePair(int index, GuestRam ram, VirtioNetOptions options, NetLayout layout)
    {
        Index = index;
        Layout = layout;
        _ram = ram;
        _options = options;
        _indirect = layout.Indirect;
        Rx = DriverRing.Create(ram, layout.Ring);
        Tx = DriverRing.Create(ram, layout.Ring);
        _transmitBuffers = ram.Allocate((ulong)options.QueueSize * (ulong)layout.TransmitStride, 4096);
        _receiveBuffers = ram.Allocate((ulong)options.QueueSize * (ulong)layout.ReceiveStride, 4096);
        _freeSlots = new Stack<int>(Enumerable.Range(0, options.QueueSize).Reverse());
        _pieces = new RingBuffer[options.TransmitCuts.Count + 1];
        _receivePieces = new RingBuffer[options.ReceivePieces];
        _assembled = new byte[VirtioNetOptions.LargestFrame + VirtioNetHeader.Size];
    }

    /// <summary>Which pair: its rings are 2 x index (receive) and 2 x index + 1 (transmit).</summary>
    public int Index { get; }

    /// <summary>The receive ring.</summary>
    public DriverRing Rx { get; private set; }

    /// <summary>The transmit ring.</summary>
    public DriverRing Tx { get; private set; }

    /// <summary>What the driver kicks the receive ring with.</summary>
    public EventFd RxKick { get; } = new();

    /// <summary>What the driver kicks the transmit ring with.</summary>
    public EventFd TxKick { get; } = new();

    /// <summary>What the device calls with when it has received.</summary>
    public EventFd RxCall { get; } = new();

    /// <summary>What the device calls with when it has sent.</summary>
    public EventFd TxCall { get; } = new();

    /// <summary>What the device signals when it gives up the receive ring.</summary>
    public EventFd RxError { get; } = new();

    /// <summary>What the device signals when it gives up the transmit ring.</summary>
    public EventFd TxError { get; } = new();

    /// <summary>Chains with negative tokens that came back from <see cref="Rx"/>, in that order.</summary>
    public List<UsedChain> ForeignRx { get; } = [];

    /// <summary>Chains with negative tokens that came back from <see cref="Tx"/>, in that order.</summary>
    public List<UsedChain> ForeignTx { get; } = [];

    /// <summary>Transmit buffers that are free.</summary>
    public int FreeSlots => _freeSlots.Count;

    /// <summary>The longest frame that a transmit buffer holds.</summary>
    public int LargestSend => Layout.TransmitSize - Layout.HeaderSize;

    /// <summary>Guest address of the receive buffers, which lie one after the other.</summary>
    public ulong ReceiveBuffers => _receiveBuffers;

    /// <summary>Bytes of all receive buffers.</summary>
    public int ReceiveBufferBytes => _options.QueueSize * Layout.ReceiveStride;

    internal NetLayout Layout { get; }

    /// <summary>The frame part of a transmit buffer, to be filled in place.</summary>
    public Span<byte> SlotBytes(int slot) => _ram.Bytes(SlotAddress(slot) + (ulong)Layout.HeaderSize, LargestSend);

    /// <summary>Takes a free transmit buffer, reclaiming sent ones if there is none.</summary>
    public bool TryRentSlot(out int slot)
    {
        if (_freeSlots.Count == 0)
        {
            Reclaim();
        }

        return _freeSlots.TryPop(out slot);
    }

    /// <summary>Gives a rented buffer back unsent.</summary>
    public void ReturnSlot(int slot) => _freeSlots.Push(slot);

    /// <summary>Puts the frame of a rented buffer on the ring, invisible until <see cref="FlushTx"/>.</summary>
    /// <returns>False when the ring is full; the buffer stays rented.</returns>
    public bool TrySendSlot(int slot, int frameLength, VirtioNetHeader header = default)
    {
        ulong address = SlotAddress(slot);
        WriteHeader(address, header);
        ReadOnlySpan<RingBuffer> pieces = _pieces.AsSpan(0, Cut(address, Layout.HeaderSize + frameLength));
        bool indirect = _indirect && pieces.Length > 1;
        if (Tx.FreeDescriptors < (indirect ? 1 : pieces.Length))
        {
            Reclaim();
        }

        return Tx.TryAdd(pieces, slot, indirect);
    }

    /// <summary>Copies a frame into a free buffer and puts it on the ring, invisible until <see cref="FlushTx"/>.</summary>
    /// <returns>False when the ring is full.</returns>
    public bool TrySend(ReadOnlySpan<byte> frame, VirtioNetHeader header = default)
    {
        if (!TryRentSlot(out int slot))
        {
            return false;
        }

        frame.CopyTo(SlotBytes(slot));
        if (TrySendSlot(slot, frame.Length, header))
        {
            return true;
        }

        ReturnSlot(slot);
        return false;
    }

    /// <summary>Shows the device what was put on the transmit ring; kicks if it wants to be kicked.</summary>
    public void FlushTx()
    {
        if (Tx.Publish())
        {
            TxKick.Signal();
        }
    }

    /// <summary>Takes sent buffers back.</summary>
    /// <returns>How many.</returns>
    public int Reclaim()
    {
        int count = 0;
        while (Tx.TryCollect(out UsedChain used))
        {
            if (used.Token < 0)
            {
                ForeignTx.Add(used);
            }
            else
            {
                _freeSlots.Push((int)used.Token);
            }

            count++;
        }

        return count;
    }

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

    /// <summary>Sleeps until something was received.</summary>
    /// <returns>False when the time is over.</returns>
    public bool WaitRx(TimeSpan timeout) => Wait(Rx, RxCall, timeout);

    /// <summary>Sleeps until buffers were sent.</summary>
    /// <param name="timeout">How long at most.</param>
    /// <param name="after">How many may be sent before one more ends the sleep: a wish that the device may not know.</param>
    /// <returns>False when the time is over.</returns>
    public bool WaitTx(TimeSpan timeout, int after = 0) => Wait(Tx, TxCall, timeout, after);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (EventFd fd in new[] { RxKick, TxKick, RxCall, TxCall, RxError, TxError })
        {
            fd.Dispose();
        }
    }

    /// <summary>Begins anew with empty rings, as a guest does that reboots.</summary>
    internal void Reset()
    {
        Rx = Rx.Renew();
        Tx = Tx.Renew();
        _toRepost.Clear();
        _posted = 0;
        _freeSlots.Clear();
        for (int slot = _options.QueueSize - 1; slot >= 0; slot--)
        {
            _freeSlots.Push(slot);
        }
    }

    private static bool Wait(DriverRing ring, EventFd call, TimeSpan timeout, int after = 0)
    {
        call.Drain();
        bool ready = ring.EnableCalls(after) || FdWait.For(call.Fd, FdWait.In, timeout);
        ring.DisableCalls();
        return ready;
    }

    private void WriteHeader(ulong address, VirtioNetHeader header)
    {
        Span<byte> whole = stackalloc byte[VirtioNetHeader.Size];
        header.Write(whole);
        whole[..Layout.HeaderSize].CopyTo(_ram.Bytes(address, Layout.HeaderSize));
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

    private int Cut(ulong address, int total)
    {
        int from = 0;
        int count = 0;
        foreach (int cut in _options.TransmitCuts)
        {
            if (cut > from && cut < total)
            {
                _pieces[count++] = new RingBuffer(address + (ulong)from, (uint)(cut - from), Writable: false);
                from = cut;
            }
        }

        _pieces[count++] = new RingBuffer(address + (ulong)from, (uint)(total - from), Writable: false);
        return count;
    }

    private ulong SlotAddress(int slot) => _transmitBuffers + ((ulong)slot * (ulong)Layout.TransmitStride);

    private ulong BufferAddress(int buffer) => _receiveBuffers + ((ulong)buffer * (ulong)Layout.ReceiveStride);
}

/// <summary>What follows from the options and the acknowledged features, once.</summary>
internal sealed record NetLayout
{
    internal NetLayout(VirtioNetOptions options, VirtioFeatures features)
    {
        Mergeable = features.HasFlag(VirtioFeatures.MrgRxbuf);
        HeaderSize = Mergeable || features.HasFlag(VirtioFeatures.Version1) ? VirtioNetHeader.Size : VirtioNetHeader.LegacySize;
        bool large = (features & VirtioNetOptions.LargeReceive) != 0;
        int receive = large ? VirtioNetOptions.LargestFrame + HeaderSize : 1518 + HeaderSize;
        ReceiveSize = options.ReceiveBufferSize != 0 ? options.ReceiveBufferSize : Mergeable ? 2048 : receive;
        TransmitSize = options.TransmitBufferSize != 0 ? options.TransmitBufferSize : VirtioNetOptions.LargestFrame + HeaderSize;
        Indirect = options.Indirect && features.HasFlag(VirtioFeatures.IndirectDesc);
        Ring = new DriverRingOptions
        {
            Size = options.QueueSize,
            Packed = features.HasFlag(VirtioFeatures.RingPacked),
            EventIdx = features.HasFlag(VirtioFeatures.EventIdx),
            InOrder = features.HasFlag(VirtioFeatures.InOrder),
            IndirectEntries = Indirect ? Math.Max(options.TransmitCuts.Count + 1, options.ReceivePieces) : 0,
        };
    }

    internal bool Mergeable { get; }

    internal int HeaderSize { get; }

    internal int ReceiveSize { get; }

    internal int TransmitSize { get; }

    internal bool Indirect { get; }

    internal DriverRingOptions Ring { get; }

    internal int ReceiveStride => RoundUp(ReceiveSize, 64);

    internal int TransmitStride => RoundUp(TransmitSize, 64);

    /// <summary>Bytes of memory that so many pairs take.</summary>
    internal ulong RamFor(VirtioNetOptions options)
    {
        ulong buffers = (ulong)options.QueueSize * (ulong)(ReceiveStride + TransmitStride);
        ulong rings = (ulong)options.QueueSize * (ulong)(2 * (32 + (Ring.IndirectEntries * 16))) * 16;
        ulong bytes = (ulong)options.Pairs * (buffers + rings + (64 << 10));
        return (bytes + (4 << 20)) & ~((2UL << 20) - 1);
    }

    private static int RoundUp(int size, int to) => (size + to - 1) / to * to;
}
