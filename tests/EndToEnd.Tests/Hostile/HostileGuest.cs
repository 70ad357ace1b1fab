using System.Diagnostics;
using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>
/// A guest with one queue pair that puts on one of its rings what it likes, and then looks whether the device returned each
/// chain once, in order, and with the right length. Its memory:
/// <code>
/// 0        rings and buffers
/// Border   a second region begins where the first one ends
/// End      it ends here, and a hole follows
/// Island   a third region of 1 MiB
/// </code>
/// </summary>
internal sealed class HostileGuest : IDisposable
{
    internal const ulong Border = 32UL << 20;
    internal const ulong End = 33UL << 20;
    internal const ulong Hole = 48UL << 20;
    internal const ulong Island = 64UL << 20;
    internal const ulong Nowhere = 1UL << 40;
    internal const int HeaderSize = VirtioNetHeader.Size;
    internal const int BufferSize = 2048;

    private static readonly TimeSpan Nap = TimeSpan.FromMilliseconds(20);

    private readonly HostileBackend _backend;
    private readonly Queue<Offered> _offered = new();
    private readonly Queue<int> _sent = new();
    private long _nextToken = -1;

    private HostileGuest(HostileBackend backend, RingSide side, VirtioNetDriver driver)
    {
        _backend = backend;
        Side = side;
        Driver = driver;
    }

    internal RingSide Side { get; }

    internal VirtioNetDriver Driver { get; }

    internal NetQueuePair Pair => Driver.Pairs[0];

    internal GuestRam Ram => Driver.Ram;

    /// <summary>The ring that the guest misbehaves on.</summary>
    internal DriverRing Ring => Side == RingSide.Rx ? Pair.Rx : Pair.Tx;

    /// <summary>Signalled when the device gives that ring up.</summary>
    internal EventFd Error => Side == RingSide.Rx ? Pair.RxError : Pair.TxError;

    /// <summary>The flag of a descriptor that is right for the direction: WRITE where the device receives for us.</summary>
    internal ushort Legal => Side == RingSide.Rx ? DriverRing.FlagWrite : (ushort)0;

    /// <summary>The flag that is wrong for the direction.</summary>
    internal ushort Illegal => Side == RingSide.Rx ? (ushort)0 : DriverRing.FlagWrite;

    /// <summary>
    /// Connects, starts the rings and moves one frame over the ring in question, so that what follows finds it at work.
    /// </summary>
    internal static HostileGuest Connect(
        HostileBackend backend, RingSide side, RingFormat format, VirtioNetOptions? options = null)
    {
        options ??= new VirtioNetOptions { QueueSize = 64, TransmitBufferSize = BufferSize };
        VirtioNetDriver driver = backend.Prepare(options with
        {
            ReceiveBuffers = side == RingSide.Rx ? 0 : options.ReceiveBuffers,
            Features = options.Features | (format == RingFormat.Packed ? VirtioFeatures.RingPacked : VirtioFeatures.None),
            Ram = new GuestRamOptions
            {
                Pieces = [new RamPiece(0, Border), new RamPiece(Border, End - Border), new RamPiece(Island, 1UL << 20)],
            },
        });
        HostileGuest guest = new(backend, side, driver);
        try
        {
            Skip.If(
                format == RingFormat.Packed && !driver.Features.HasFlag(VirtioFeatures.RingPacked),
                "RING_PACKED is not offered by this back-end");
            guest.OfferGood();
            driver.StartRings();
            guest.ExpectReturned();
            return guest;
        }
        catch
        {
            guest.Dispose();
            throw;
        }
    }

    public void Dispose() => Driver.Dispose();

    /// <summary>Takes memory from the first region.</summary>
    internal ulong Take(int bytes) => Ram.Allocate((ulong)bytes, 64);

    /// <summary>A legal descriptor of memory of its own.</summary>
    internal RawDescriptor Buffer(int bytes = 256, ushort flags = 0, int next = 0) =>
        new(Take(bytes), (uint)bytes, (ushort)(Legal | flags), next);

    /// <summary>Puts a chain on the ring as it is. It is expected back with nothing written.</summary>
    internal void Offer(params ReadOnlySpan<RawDescriptor> chain)
    {
        long token = _nextToken--;
        Assert.True(Ring.TryAddRaw(chain, token), "the ring is full");
        _offered.Enqueue(new Offered(token, [], null));
    }

    /// <summary>Puts a chain on the ring that does its work whatever came before it: one buffer, one frame.</summary>
    internal void OfferGood()
    {
        RingBuffer[] buffers = [new(Take(BufferSize), BufferSize, Side == RingSide.Rx)];
        buffers[0] = Side == RingSide.Rx ? buffers[0] : buffers[0] with { Length = HeaderSize + GoodGuest.FrameSize };
        OfferLegal(buffers, GoodGuest.FrameSize, token => Ring.TryAdd(buffers, token));
    }

    /// <summary>Puts buffers on the ring that are odd but legal: they must carry one frame that fills them exactly.</summary>
    internal void OfferOdd(params RingBuffer[] buffers) =>
        OfferLegal(buffers, Room(buffers) - HeaderSize, token => Ring.TryAdd(buffers, token));

    /// <summary>The same with the buffers in an indirect table at a place of the caller's choice.</summary>
    internal void OfferOddTable(ulong table, params RingBuffer[] buffers)
    {
        RawDescriptor[] entries = [.. buffers.Select((buffer, i) => new RawDescriptor(
            buffer.Address, buffer.Length, (ushort)(Legal | (i < buffers.Length - 1 ? DriverRing.FlagNext : 0)), i + 1))];
        WriteTable(table, entries);
        RawDescriptor head = new(table, (uint)(16 * entries.Length), DriverRing.FlagIndirect);
        OfferLegal(buffers, Room(buffers) - HeaderSize, token => Ring.TryAddRaw([head], token));
    }

    /// <summary>Writes an indirect table, in the form of the ring's format, and gives the descriptor that points to it.</summary>
    internal RawDescriptor Table(params ReadOnlySpan<RawDescriptor> entries)
    {
        ulong table = Take(16 * entries.Length);
        WriteTable(table, entries);
        return new RawDescriptor(table, (uint)(16 * entries.Length), DriverRing.FlagIndirect);
    }

    /// <summary>Writes the entries of an indirect table to a place of the caller's choice.</summary>
    internal void WriteTable(ulong table, params ReadOnlySpan<RawDescriptor> entries)
    {
        bool packed = Ring is PackedDriverRing;
        foreach (RawDescriptor entry in entries)
        {
            Ram.WriteU64(table, entry.Address);
            Ram.WriteU32(table + 8, entry.Length);
            Ram.WriteU16(table + 12, packed ? (ushort)0 : entry.Flags);
            Ram.WriteU16(table + 14, packed ? entry.Flags : (ushort)entry.Next);
            table += 16;
        }
    }

    /// <summary>Shows the device what was offered.</summary>
    internal void Publish()
    {
        if (Ring.Publish())
        {
            Kick();
        }
    }

    /// <summary>Kicks the ring, wanted or not.</summary>
    internal void Kick() => (Side == RingSide.Rx ? Pair.RxKick : Pair.TxKick).Signal();

    /// <summary>The host sends one frame, which the next good receive buffer is to hold.</summary>
    internal void HostSends(int size = GoodGuest.FrameSize)
    {
        int number = HostileBackend.NextFrame();
        _sent.Enqueue(number);
        _backend.Host.Send(TestFrame.Build(number, size));
    }

    /// <summary>All that was offered comes back: in order, once, bad chains with nothing written, good with frames.</summary>
    internal void ExpectReturned()
    {
        Publish();
        foreach (Offered chain in _offered.Where(chain => Side == RingSide.Rx && chain.FrameSize is not null).Skip(_sent.Count))
        {
            HostSends(chain.FrameSize!.Value);
        }

        while (_offered.TryDequeue(out Offered? expected))
        {
            UsedChain used = Collect();
            Assert.Equal(expected.Token, used.Token);
            if (expected.FrameSize is not { } size)
            {
                Assert.Equal(0u, used.Length);
            }
            else if (Side == RingSide.Tx)
            {
                GoodGuest.ExpectAtHost(_backend, expected.Number, size);
            }
            else
            {
                ExpectFrame(used, expected.Buffers, size);
            }
        }
    }

    /// <summary>
    /// The same where no good chain was offered. A receive ring is looked at only when there is a frame; the host sends one,
    /// which the next good chain is to hold.
    /// </summary>
    internal void ExpectReturnedUnused()
    {
        Publish();
        if (Side == RingSide.Rx)
        {
            HostSends();
        }

        ExpectReturned();
    }

    /// <summary>Takes back one chain.</summary>
    internal UsedChain Collect()
    {
        long start = Stopwatch.GetTimestamp();
        UsedChain used;
        while (!Ring.TryCollect(out used))
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < HostileBackend.Patience, "a chain did not come back");
            _ = Side == RingSide.Rx ? Pair.WaitRx(Nap) : Pair.WaitTx(Nap);
        }

        return used;
    }

    /// <summary>The device gives the ring up, says so on its error fd, and goes on with the pair's other ring.</summary>
    internal void ExpectGivenUp()
    {
        Assert.True(
            SpinWait.SpinUntil(() => Error.Drain() != 0, HostileBackend.Patience),
            "the ring was not given up: its error fd is silent");
        if (Side == RingSide.Rx)
        {
            GoodGuest.Send(_backend, Pair);
        }
        else
        {
            GoodGuest.Receive(_backend, Driver, 1);
        }
    }

    /// <summary>Starts both rings anew on the same connection, as a guest does that reboots; they work.</summary>
    internal void RebootAndExchange()
    {
        _backend.ForgetFrames();
        Driver.Reboot();
        GoodGuest.Send(_backend, Pair);
        if (Side == RingSide.Tx)
        {
            GoodGuest.Receive(_backend, Driver, 1);
            return;
        }

        int number = HostileBackend.NextFrame();
        _backend.Host.Send(TestFrame.Build(number, GoodGuest.FrameSize));
        ulong buffer = Take(BufferSize);
        ReadOnlySpan<byte> frame;
        do
        {
            Assert.True(Ring.TryAdd([new RingBuffer(buffer, BufferSize, true)], -1));
            Publish();
            frame = Ram.Bytes(buffer, (int)Collect().Length)[HeaderSize..];
        }
        while (TestFrame.NumberOf(frame) != number);
        Assert.Equal(TestFrame.Build(number, GoodGuest.FrameSize), frame.ToArray());
    }

    private void OfferLegal(RingBuffer[] buffers, int frameSize, Func<long, bool> add)
    {
        long token = _nextToken--;
        int number = HostileBackend.NextFrame();
        if (Side == RingSide.Tx)
        {
            byte[] bytes = new byte[HeaderSize + frameSize];
            TestFrame.Build(number, frameSize).CopyTo(bytes, HeaderSize);
            Scatter(bytes, buffers);
        }

        Assert.True(add(token), "the ring is full");
        _offered.Enqueue(new Offered(token, buffers, frameSize) { Number = number });
    }

    private static int Room(RingBuffer[] buffers) => (int)buffers.Sum(buffer => (long)buffer.Length);

    private void Scatter(ReadOnlySpan<byte> bytes, RingBuffer[] buffers)
    {
        foreach (RingBuffer buffer in buffers.Where(buffer => buffer.Length > 0))
        {
            int part = Math.Min(bytes.Length, (int)buffer.Length);
            bytes[..part].CopyTo(Ram.Bytes(buffer.Address, part));
            bytes = bytes[part..];
        }
    }

    private void ExpectFrame(UsedChain used, RingBuffer[] buffers, int size)
    {
        Assert.Equal((uint)(HeaderSize + size), used.Length);
        byte[] bytes = [.. buffers
            .Where(buffer => buffer.Length > 0)
            .SelectMany(buffer => Ram.Bytes(buffer.Address, (int)buffer.Length).ToArray())
            .Take((int)used.Length)];
        Assert.True(VirtioNetHeader.TryRead(bytes, out VirtioNetHeader header));
        Assert.Equal(1, header.Buffers);
        Assert.Equal(TestFrame.Build(_sent.Dequeue(), size), bytes[HeaderSize..]);
    }

    /// <summary>A chain on the ring.</summary>
    /// <param name="Token">Its token.</param>
    /// <param name="Buffers">Where its bytes lie, for a legal one.</param>
    /// <param name="FrameSize">What it is to carry; null for a chain that must come back unused.</param>
    private sealed record Offered(long Token, RingBuffer[] Buffers, int? FrameSize)
    {
        internal int Number { get; init; }
    }
}
