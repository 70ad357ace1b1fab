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
public sealed partial class NetQueuePair : IDisposable
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
        FreeAllSlots();
    }

    /// <summary>Goes on with an empty receive ring elsewhere in memory and puts the buffers on it.</summary>
    internal void ResetRx(int size)
    {
        Rx = DriverRing.Create(_ram, Layout.Ring with { Size = size });
        _toRepost.Clear();
        _posted = 0;
        PostAll();
    }

    /// <summary>Goes on with an empty transmit ring elsewhere in memory.</summary>
    internal void ResetTx(int size)
    {
        Tx = DriverRing.Create(_ram, Layout.Ring with { Size = size });
        FreeAllSlots();
    }

    private void FreeAllSlots()
    {
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
