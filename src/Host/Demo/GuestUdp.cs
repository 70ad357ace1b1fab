using System.Buffers.Binary;
using System.Diagnostics;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Driver.Frames;

namespace Ringmaster.Host.Demo;

/// <summary>
/// One UDP flow of the demo's guest: datagrams of all sizes to a socket of the host that sends each of them back. Each carries
/// its number and <see cref="Pattern"/> from there on. One thread.
/// </summary>
internal sealed class GuestUdp(NetQueuePair pair, Station guest, Station host, ushort fromPort, ushort toPort)
{
    /// <summary>Bytes of the number.</summary>
    internal const int NumberSize = 8;

    private const int Window = 16;
    private const int LargestPayload = 1472;
    private static readonly TimeSpan LostAfter = TimeSpan.FromSeconds(2);
    private readonly Dictionary<long, long> _underWay = [];
    private long _number;
    private bool _closing;

    /// <summary>Datagrams that came back as they went.</summary>
    internal long Returned { get; private set; }

    /// <summary>Datagrams that did not come back.</summary>
    internal long Lost { get; private set; }

    /// <summary>Datagrams with a wrong byte.</summary>
    internal long Corrupt { get; private set; }

    /// <summary>Datagrams that came a second time.</summary>
    internal long Duplicates { get; private set; }

    /// <summary>When the last one came back.</summary>
    internal long LastReturn { get; private set; }

    /// <summary>Everything has come back or is lost.</summary>
    internal bool Finished => _closing && _underWay.Count == 0;

    /// <summary>Sends no more.</summary>
    internal void Close() => _closing = true;

    /// <summary>Takes a datagram that came back.</summary>
    internal void Take(ReadOnlySpan<byte> payload)
    {
        if (payload.Length < NumberSize || payload.Length != SizeOf(BinaryPrimitives.ReadInt64LittleEndian(payload)))
        {
            Corrupt++;
            return;
        }

        long number = BinaryPrimitives.ReadInt64LittleEndian(payload);
        if (!Pattern.Holds(payload[NumberSize..], number))
        {
            Corrupt++;
        }
        else if (_underWay.Remove(number))
        {
            Returned++;
            LastReturn = Stopwatch.GetTimestamp();
        }
        else
        {
            Duplicates++;
        }
    }

    /// <summary>Sends what the window allows.</summary>
    internal void Pump()
    {
        Expire();
        while (!_closing && _underWay.Count < Window && pair.TryRentSlot(out int slot))
        {
            int payload = SizeOf(_number);
            Span<byte> frame = pair.SlotBytes(slot);
            Span<byte> body = frame.Slice(PacketWriter.DatagramPayload, payload);
            BinaryPrimitives.WriteInt64LittleEndian(body, _number);
            Pattern.Write(body[NumberSize..], _number);
            if (!pair.TrySendSlot(slot, PacketWriter.Udp(frame, guest, host, fromPort, toPort, payload)))
            {
                pair.ReturnSlot(slot);
                return;
            }

            _underWay.Add(_number++, Stopwatch.GetTimestamp());
        }
    }

    /// <summary>All sizes from 8 to 1472, in no obvious order.</summary>
    private static int SizeOf(long number) => NumberSize + (int)((ulong)number * 7919 % (LargestPayload - NumberSize + 1));

    private void Expire()
    {
        foreach ((long number, long sent) in _underWay)
        {
            if (Stopwatch.GetElapsedTime(sent) > LostAfter)
            {
                _underWay.Remove(number);
                Lost++;
            }
        }
    }
}
