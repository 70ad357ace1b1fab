using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Diagnostics;
using Ringmaster.Native.Driver.Frames;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Driver.Load;

/// <summary>Keeps a window of frames under way and times their return.</summary>
/// <remarks>
/// The payload begins with a mark (u32), the pair (u16), the sequence number (u32) and the time of sending (u64). Frames
/// may come back on another pair than they went; that one's thread hands them over.
/// </remarks>
internal sealed class EchoLoad(NetQueuePair pair, LoadOptions options, Station guest, Station peer, PairLoad[] all)
    : PairLoad(pair, options)
{
    private const uint Mark = 0x524d4543;
    private const int PayloadSize = 18;
    private readonly Dictionary<uint, long> _underWay = [];
    private readonly ConcurrentQueue<(uint Sequence, long At)> _handedOver = [];
    private volatile bool _warm;
    private volatile bool _through;
    private uint _sequence;
    private uint _firstSequence;
    private long _lastReturn;

    /// <summary>
    /// Sends one frame at a time until one has come back on every pair: a back-end may well take frames before it can give any,
    /// and what is lost that way says nothing about it.
    /// </summary>
    internal override void WarmUp(CancellationToken ended)
    {
        long start = Stopwatch.GetTimestamp();
        while (!Array.TrueForAll(all, load => ((EchoLoad)load)._warm)
            && Stopwatch.GetElapsedTime(start) < Options.LostAfter && !ended.IsCancellationRequested)
        {
            if (!_warm)
            {
                _underWay.Clear();
                FillWindow(1);
            }

            Pair.WaitRx(Nap);
            Collect();
            _warm = Received > 0;
        }

        _underWay.Clear();
        Times.Clear();
        Received = 0;
        ReceivedBytes = 0;
        _firstSequence = _sequence;
    }

    internal override void Run(CancellationToken ended)
    {
        Pair.Rx.DisableCalls();
        Pair.Tx.DisableCalls();
        _lastReturn = Stopwatch.GetTimestamp();
        while (!ended.IsCancellationRequested)
        {
            int sent = FillWindow(Options.Window);
            if (Collect() == 0 && sent == 0)
            {
                Rest(receive: true);
                Expire();
            }
        }

        // A pair that is through itself goes on receiving for the others.
        while (!IsThrough() || !Array.TrueForAll(all, load => ((EchoLoad)load)._through))
        {
            if (Collect() == 0)
            {
                Rest(receive: true);
            }
        }

        Lost += _underWay.Count;
        Sent = _sequence - _firstSequence;
    }

    private bool IsThrough() => _through = _underWay.Count == 0 || Stopwatch.GetElapsedTime(_lastReturn) > Options.LostAfter;

    private int FillWindow(int window)
    {
        int count = 0;
        while (_underWay.Count < window && Pair.TryRentSlot(out int slot))
        {
            long now = Stopwatch.GetTimestamp();
            Write(Pair.SlotBytes(slot), now);
            if (!Pair.TrySendSlot(slot, Options.FrameSize))
            {
                Pair.ReturnSlot(slot);
                break;
            }

            _underWay.Add(_sequence++, now);
            count++;
        }

        Pair.FlushTx();
        return count;
    }

    private void Write(Span<byte> frame, long now)
    {
        Span<byte> payload = frame[PacketWriter.DatagramPayload..];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, Mark);
        BinaryPrimitives.WriteUInt16LittleEndian(payload[4..], (ushort)Pair.Index);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[6..], _sequence);
        BinaryPrimitives.WriteInt64LittleEndian(payload[10..], now);
        int size = Options.FrameSize - PacketWriter.DatagramPayload;
        if (Options.Target is null)
        {
            PacketWriter.Udp(frame, guest, peer, (ushort)(40000 + Pair.Index), 7, size);
        }
        else
        {
            PacketWriter.Echo(frame, guest, peer, (ushort)Pair.Index, (ushort)_sequence, size);
        }
    }

    private int Collect()
    {
        int count = 0;
        while (count < Batch && Pair.TryReceive(out VirtioNetHeader header, out ReadOnlySpan<byte> frame))
        {
            Look(frame, header);
            count++;
        }

        Pair.FlushRx();
        while (_handedOver.TryDequeue(out (uint Sequence, long At) arrival))
        {
            Count(arrival.Sequence, arrival.At);
            count++;
        }

        return count;
    }

    private void Look(ReadOnlySpan<byte> frame, VirtioNetHeader header)
    {
        if (frame.Length < PacketWriter.DatagramPayload + PayloadSize)
        {
            AnswerArp(frame, header);
            return;
        }

        ReadOnlySpan<byte> payload = frame[PacketWriter.DatagramPayload..];
        int owner = BinaryPrimitives.ReadUInt16LittleEndian(payload[4..]);
        if (frame.Length != Options.FrameSize || BinaryPrimitives.ReadUInt32LittleEndian(payload) != Mark || owner >= all.Length)
        {
            return;
        }

        uint sequence = BinaryPrimitives.ReadUInt32LittleEndian(payload[6..]);
        long now = Stopwatch.GetTimestamp();
        if (owner == Pair.Index)
        {
            Count(sequence, now);
            return;
        }

        ((EchoLoad)all[owner])._handedOver.Enqueue((sequence, now));
        all[owner].Pair.RxCall.Signal();
    }

    private void Count(uint sequence, long now)
    {
        if (_underWay.Remove(sequence, out long sentAt))
        {
            _lastReturn = now;
            Times.Record(now - sentAt);
            Received++;
            ReceivedBytes += Options.FrameSize;
        }
    }

    private void AnswerArp(ReadOnlySpan<byte> frame, VirtioNetHeader header)
    {
        Packet packet = Packet.Parse(frame, header);
        if (packet.Kind == PacketKind.ArpRequest && packet.ToIp == guest.Ip)
        {
            Span<byte> reply = stackalloc byte[PacketWriter.ArpFrameSize];
            PacketWriter.ArpReply(reply, guest, packet.From);
            Pair.TrySend(reply);
            Pair.FlushTx();
        }
    }

    /// <summary>Gives up frames that are out for too long, so that the window does not close for good.</summary>
    private void Expire()
    {
        long limit = Stopwatch.GetTimestamp() - (long)(Options.LostAfter.TotalSeconds * Stopwatch.Frequency);
        foreach ((uint sequence, long sentAt) in _underWay)
        {
            if (sentAt < limit)
            {
                _underWay.Remove(sequence);
                Lost++;
            }
        }
    }
}
