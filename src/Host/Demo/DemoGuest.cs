using System.Diagnostics;
using System.Runtime.ExceptionServices;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Driver.Frames;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Host.Demo;

/// <summary>The ports of the demo; a flow's number is its queue pair's.</summary>
internal static class DemoPorts
{
    internal const ushort GuestUdp = 40000;
    internal const ushort GuestTcp = 41000;
    internal const ushort HostUdp = 7000;
    internal const ushort HostTcp = 8000;
}

/// <summary>
/// The demo's guest: one thread that serves all queue pairs of a driver with just enough of a network stack. It finds the
/// host by ARP, pings it, and then keeps a UDP flow and a TCP connection busy on each pair.
/// </summary>
/// <remarks>Numbers are written by that thread alone; what others read meanwhile may be a moment old.</remarks>
internal sealed class DemoGuest : IDisposable
{
    /// <summary>How many pings are sent, each larger than the one before.</summary>
    internal const int Pings = 5;

    private const ushort PingId = 0x726d;
    private static readonly TimeSpan Again = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(10);
    private readonly VirtioNetDriver _driver;
    private readonly Station _guest;
    private readonly uint _hostIp;
    private readonly Thread _thread;
    private readonly bool[] _answered = new bool[Pings];
    private volatile bool _traffic;
    private volatile bool _closing;
    private volatile bool _stop;
    private long _lastAsked;
    private ExceptionDispatchInfo? _fault;

    /// <param name="driver">Started; belongs to the guest's thread from <see cref="Start"/> to <see cref="Dispose"/>.</param>
    /// <param name="guest">The guest's addresses.</param>
    /// <param name="hostIp">Whom to look for.</param>
    internal DemoGuest(VirtioNetDriver driver, Station guest, uint hostIp)
    {
        _driver = driver;
        _guest = guest;
        _hostIp = hostIp;
        _thread = new Thread(Live) { Name = "guest", IsBackground = true };
    }

    /// <summary>The host, once it has answered.</summary>
    internal Station? Host { get; private set; }

    /// <summary>Pings answered with the right bytes.</summary>
    internal int PingsAnswered => _answered.Count(answered => answered);

    /// <summary>The UDP flows, one for each pair, once traffic has begun.</summary>
    internal IReadOnlyList<GuestUdp> Udp { get; private set; } = [];

    /// <summary>The TCP connections, one for each pair, once traffic has begun.</summary>
    internal IReadOnlyList<GuestTcp> Tcp { get; private set; } = [];

    /// <summary>True when all flows have ended and all frames are accounted for.</summary>
    internal bool Finished { get; private set; }

    /// <summary>Why the guest has stopped, or null.</summary>
    internal Exception? Fault => _fault?.SourceException;

    internal void Start() => _thread.Start();

    /// <summary>Begins the UDP flows and TCP connections; <see cref="Host"/> must be known.</summary>
    internal void BeginTraffic() => _traffic = true;

    /// <summary>Lets the flows run out: nothing new is sent, what is under way is waited for.</summary>
    internal void EndTraffic() => _closing = true;

    public void Dispose()
    {
        _stop = true;
        _thread.Join();
    }

    private void Live()
    {
        try
        {
            while (!_stop)
            {
                if (!Turn())
                {
                    _driver.WaitRx(Tick);
                }
            }
        }
        catch (Exception e)
        {
            _fault = ExceptionDispatchInfo.Capture(e);
        }
    }

    private bool Turn()
    {
        bool busy = false;
        foreach (NetQueuePair pair in _driver.Pairs)
        {
            busy |= Receive(pair);
        }

        AskHost();
        Converse();
        foreach (NetQueuePair pair in _driver.Pairs)
        {
            pair.FlushTx();
        }

        return busy;
    }

    private bool Receive(NetQueuePair pair)
    {
        int count = 0;
        while (count < 64 && pair.TryReceive(out VirtioNetHeader header, out ReadOnlySpan<byte> frame))
        {
            Take(pair, Packet.Parse(frame, header), frame.Length);
            count++;
        }

        pair.FlushRx();
        return count > 0;
    }

    /// <summary>A frame may come on another pair than its flow's until the kernel has learned where the flow lives.</summary>
    private void Take(NetQueuePair pair, in Packet packet, int length)
    {
        switch (packet.Kind)
        {
            case PacketKind.ArpRequest when packet.ToIp == _guest.Ip:
                Span<byte> reply = stackalloc byte[PacketWriter.ArpFrameSize];
                PacketWriter.ArpReply(reply, _guest, packet.From);
                pair.TrySend(reply);
                break;
            case PacketKind.ArpReply when packet.From.Ip == _hostIp:
                Host = packet.From;
                break;
            case PacketKind.EchoReply when packet.FromPort == PingId && packet.ToPort < Pings:
                _answered[packet.ToPort] |=
                    packet.Payload.Length == PingSize(packet.ToPort) && Pattern.Holds(packet.Payload, packet.ToPort);
                break;
            case PacketKind.Udp when packet.ToPort - DemoPorts.GuestUdp is >= 0 and var flow && flow < Udp.Count:
                Udp[flow].Take(packet.Payload);
                break;
            case PacketKind.Tcp when packet.ToPort - DemoPorts.GuestTcp is >= 0 and var flow && flow < Tcp.Count:
                Tcp[flow].Take(packet, length);
                break;
        }
    }

    private void AskHost()
    {
        bool due = Stopwatch.GetElapsedTime(_lastAsked) > Again;
        if (!due || (Host is not null && PingsAnswered == Pings))
        {
            return;
        }

        _lastAsked = Stopwatch.GetTimestamp();
        if (Host is not { } host)
        {
            Span<byte> request = stackalloc byte[PacketWriter.ArpFrameSize];
            PacketWriter.ArpRequest(request, _guest, _hostIp);
            _driver.Pairs[0].TrySend(request);
            return;
        }

        for (ushort i = 0; i < Pings; i++)
        {
            if (!_answered[i])
            {
                byte[] frame = new byte[PacketWriter.DatagramPayload + PingSize(i)];
                Pattern.Write(frame.AsSpan(PacketWriter.DatagramPayload), i);
                PacketWriter.Echo(frame, _guest, host, PingId, i, PingSize(i));
                _driver.Pairs[i % _driver.Pairs.Count].TrySend(frame);
            }
        }
    }

    private static int PingSize(int sequence) => 56 + (sequence * 354);

    private void Converse()
    {
        if (_traffic && Host is { } host && Udp.Count == 0)
        {
            Udp = [.. _driver.Pairs.Select(pair => new GuestUdp(
                pair, _guest, host, (ushort)(DemoPorts.GuestUdp + pair.Index), (ushort)(DemoPorts.HostUdp + pair.Index)))];
            Tcp = [.. _driver.Pairs.Select(pair => new GuestTcp(
                pair, _guest, host, (ushort)(DemoPorts.GuestTcp + pair.Index), (ushort)(DemoPorts.HostTcp + pair.Index)))];
        }

        foreach (GuestUdp flow in Udp)
        {
            if (_closing)
            {
                flow.Close();
            }

            flow.Pump();
        }

        foreach (GuestTcp connection in Tcp)
        {
            if (_closing)
            {
                connection.Close();
            }

            connection.Pump();
        }

        Finished = _closing && Udp.All(flow => flow.Finished)
            && Tcp.All(connection => connection.Broken || (connection.Finished && connection.PeerClosed)) && AllSent();
    }

    private bool AllSent()
    {
        foreach (NetQueuePair pair in _driver.Pairs)
        {
            pair.Reclaim();
        }

        return _driver.Pairs.All(pair => pair.Tx.Outstanding == 0);
    }
}
