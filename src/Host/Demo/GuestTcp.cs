using System.Buffers.Binary;
using System.Diagnostics;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Driver.Frames;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Host.Demo;

/// <summary>
/// One TCP connection of the demo's guest, opened by the guest to a real socket of the host: a stream of
/// <see cref="Pattern"/> each way, in GSO frames of up to 64 KiB.
/// </summary>
/// <remarks>
/// As little TCP as a link needs that seldom loses: window scaling, go-back-N on a timeout or three equal
/// acknowledgements, early segments kept and answered with an equal acknowledgement, no congestion control, no SACK, no
/// timestamps. Positions count the stream's bytes; a FIN counts as one more. One thread.
/// </remarks>
internal sealed class GuestTcp(NetQueuePair pair, Station guest, Station host, ushort fromPort, ushort toPort)
{
    private const int Segment = 1460;
    private const int LargestPayload = 44 * Segment;
    private const int MostUnderWay = 512 * 1024;
    private const int WindowScale = 7;
    private const ushort OwnWindow = 8192;
    private const uint InitialSequence = 0x10000;
    private static readonly TimeSpan RetransmitAfter = TimeSpan.FromMilliseconds(500);

    private readonly SortedDictionary<long, byte[]> _early = [];
    private bool _established;
    private bool _synSent;
    private bool _ackDue;
    private bool _recovering;
    private bool _closing;
    private int _equalAcks;
    private int _peerScale;
    private uint _peerInitial;
    private long _peerWindow;
    private long _next;
    private long _farthest;
    private long _lastProgress;
    private long _length = long.MaxValue;

    /// <summary>Bytes that the host has acknowledged.</summary>
    internal long Acknowledged { get; private set; }

    /// <summary>Bytes that came in order and were right.</summary>
    internal long Received { get; private set; }

    /// <summary>True when a byte was wrong.</summary>
    internal bool Corrupt { get; private set; }

    /// <summary>True when the host refused or broke the connection.</summary>
    internal bool Broken { get; private set; }

    /// <summary>The longest frame sent.</summary>
    internal int LargestSent { get; private set; }

    /// <summary>The longest frame received.</summary>
    internal int LargestReceived { get; private set; }

    /// <summary>The host will send no more, and everything it sent is here.</summary>
    internal bool PeerClosed { get; private set; }

    /// <summary>The host has everything, our end of the stream included.</summary>
    internal bool Finished => _closing && Acknowledged > _length;

    /// <summary>Bytes of the stream that the host has acknowledged, without the end mark.</summary>
    internal long Delivered => Math.Min(Acknowledged, _length);

    /// <summary>Ends the guest's stream after what has been sent.</summary>
    internal void Close()
    {
        if (!_closing)
        {
            _closing = true;
            _length = _farthest;
        }
    }

    /// <summary>Takes a segment that came for this connection.</summary>
    internal void Take(in Packet packet, int frameLength)
    {
        TcpFields fields = packet.TcpFields;
        if (fields.Flags.HasFlag(TcpFlags.Rst))
        {
            Broken = true;
            return;
        }

        if (fields.Flags.HasFlag(TcpFlags.Syn))
        {
            Establish(packet, fields);
            return;
        }

        if (_established)
        {
            LargestReceived = Math.Max(LargestReceived, frameLength);
            TakeAcknowledgement(fields, packet.Payload.IsEmpty);
            TakeData(fields, packet.Payload);
        }
    }

    /// <summary>Sends what may and must be sent now.</summary>
    internal void Pump()
    {
        if (Broken)
        {
            return;
        }

        bool late = Stopwatch.GetElapsedTime(_lastProgress) > RetransmitAfter;
        if (!_established)
        {
            if (!_synSent || late)
            {
                _lastProgress = Stopwatch.GetTimestamp();
                _synSent = SendSyn() || _synSent;
            }

            return;
        }

        if (late && Acknowledged < Math.Min(_next, End))
        {
            GoBack();
        }
        else if (late && _peerWindow == 0)
        {
            _peerWindow = 1;
        }

        SendData();
        if (_ackDue && Send(TcpFlags.Ack, _next, 0))
        {
            _ackDue = false;
        }
    }

    private long End => _closing ? _length + 1 : long.MaxValue;

    private static uint Sequence(long position) => InitialSequence + 1 + (uint)position;

    private void Establish(in Packet packet, TcpFields fields)
    {
        if (!_established && fields.Flags.HasFlag(TcpFlags.Ack))
        {
            _peerInitial = fields.Sequence;
            _peerScale = ScaleIn(packet.TcpOptions);
            _peerWindow = fields.Window;
            _established = true;
            _lastProgress = Stopwatch.GetTimestamp();
        }

        _ackDue = true;
    }

    private static int ScaleIn(ReadOnlySpan<byte> options)
    {
        while (options.Length > 1 && options[0] != 0)
        {
            if (options[0] == 3)
            {
                return options[2];
            }

            options = options[(options[0] == 1 ? 1 : Math.Clamp((int)options[1], 2, options.Length))..];
        }

        return 0;
    }

    private void TakeAcknowledgement(TcpFields fields, bool bare)
    {
        long window = (long)fields.Window << _peerScale;
        int advance = (int)(fields.Acknowledgement - Sequence(Acknowledged));
        if (advance > 0)
        {
            Acknowledged += advance;
            _next = Math.Max(_next, Acknowledged);
            _lastProgress = Stopwatch.GetTimestamp();
            _equalAcks = 0;
            _recovering = false;
        }
        else if (advance == 0 && bare && window == _peerWindow && _next > Acknowledged && ++_equalAcks == 3 && !_recovering)
        {
            GoBack();
        }

        _peerWindow = window;
    }

    private void TakeData(TcpFields fields, ReadOnlySpan<byte> payload)
    {
        bool fin = fields.Flags.HasFlag(TcpFlags.Fin);
        if (payload.IsEmpty && !fin)
        {
            return;
        }

        _ackDue = true;
        int known = (int)(_peerInitial + 1 + (uint)Received - fields.Sequence);
        if (known < 0)
        {
            // Something before it is lost. A bare acknowledgement each time is what tells the host so.
            KeepEarly(Received - known, payload);
            _ackDue = !Send(TcpFlags.Ack, _next, 0);
            return;
        }

        if (PeerClosed || known > payload.Length)
        {
            return;
        }

        Accept(payload[known..]);
        PeerClosed = fin;
        while (!PeerClosed && _early.Count > 0 && _early.First() is var (position, bytes) && position <= Received)
        {
            _early.Remove(position);
            Accept(bytes.AsSpan((int)Math.Min(Received - position, bytes.Length)));
        }
    }

    private void KeepEarly(long position, ReadOnlySpan<byte> payload)
    {
        if (!payload.IsEmpty && (!_early.TryGetValue(position, out byte[]? same) || same.Length < payload.Length))
        {
            _early[position] = payload.ToArray();
        }
    }

    private void Accept(ReadOnlySpan<byte> fresh)
    {
        Corrupt |= !Pattern.Holds(fresh, Received);
        Received += fresh.Length;
    }

    private void GoBack()
    {
        _next = Acknowledged;
        _equalAcks = 0;
        _recovering = true;
        _lastProgress = Stopwatch.GetTimestamp();
    }

    private void SendData()
    {
        while (_next < End)
        {
            long window = Math.Min(_peerWindow, MostUnderWay) - (_next - Acknowledged);
            int payload = (int)Math.Min(Math.Min(window, LargestPayload), _length - _next);
            if (_next == _length)
            {
                if (!Send(TcpFlags.Fin | TcpFlags.Ack, _next, 0))
                {
                    return;
                }

                _next++;
                return;
            }

            // Small pieces wait for room, as long as something is under way that will make it.
            bool small = payload < Segment && payload < _length - _next && _next > Acknowledged;
            if (payload <= 0 || small || !Send(TcpFlags.Ack | TcpFlags.Psh, _next, payload))
            {
                return;
            }

            _next += payload;
            _farthest = Math.Max(_farthest, _next);
            _ackDue = false;
        }
    }

    private bool SendSyn()
    {
        Span<byte> options = stackalloc byte[8];
        options[0] = 2;
        options[1] = 4;
        BinaryPrimitives.WriteUInt16BigEndian(options[2..], Segment);
        options[4] = 1;
        options[5] = 3;
        options[6] = 3;
        options[7] = WindowScale;
        return Send(new TcpFields(fromPort, toPort, InitialSequence, 0, TcpFlags.Syn, OwnWindow), options, 0, 0);
    }

    private bool Send(TcpFlags flags, long position, int payload)
    {
        uint acknowledgement = _peerInitial + 1 + (uint)Received + (PeerClosed ? 1u : 0u);
        var fields = new TcpFields(fromPort, toPort, Sequence(position), acknowledgement, flags, OwnWindow);
        return Send(fields, [], position, payload);
    }

    private bool Send(TcpFields fields, ReadOnlySpan<byte> options, long position, int payload)
    {
        if (!pair.TryRentSlot(out int slot))
        {
            return false;
        }

        Span<byte> frame = pair.SlotBytes(slot);
        Pattern.Write(frame.Slice(PacketWriter.TcpPayload + options.Length, payload), position);
        int length = PacketWriter.Tcp(frame, guest, host, fields, options, payload, Segment, out VirtioNetHeader offload);
        if (!pair.TrySendSlot(slot, length, offload))
        {
            pair.ReturnSlot(slot);
            return false;
        }

        LargestSent = Math.Max(LargestSent, length);
        return true;
    }
}
