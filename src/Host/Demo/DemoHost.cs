using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Ringmaster.Native.Driver;

namespace Ringmaster.Host.Demo;

/// <summary>
/// The host's end of one pair's flows: ordinary sockets of the kernel inside the demo's namespace. A UDP socket that sends
/// every datagram back, and a TCP listener whose one connection carries <see cref="Pattern"/> both ways.
/// </summary>
internal sealed class DemoHost : IDisposable
{
    private const int Chunk = 256 * 1024;
    private readonly Socket _udp;
    private readonly Socket _listener;
    private readonly Thread[] _threads;
    private volatile Socket? _connection;
    private volatile bool _closing;

    /// <param name="network">Where the sockets live.</param>
    /// <param name="address">The address of the TAP.</param>
    /// <param name="pair">Which queue pair; chooses the ports.</param>
    internal DemoHost(PrivateNetwork network, IPAddress address, int pair)
    {
        _udp = network.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp));
        _listener = network.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
        _udp.Bind(new IPEndPoint(address, DemoPorts.HostUdp + pair));
        _listener.Bind(new IPEndPoint(address, DemoPorts.HostTcp + pair));
        _listener.Listen(1);
        _threads = [Begin("udp", pair, EchoUdp), Begin("tcp", pair, ServeTcp)];
    }

    /// <summary>Bytes sent over TCP.</summary>
    internal long TcpSent { get; private set; }

    /// <summary>Bytes received over TCP that were right.</summary>
    internal long TcpReceived { get; private set; }

    /// <summary>True when a byte was wrong, on TCP or UDP.</summary>
    internal bool Corrupt { get; private set; }

    /// <summary>True when the guest has ended its stream, and everything was read.</summary>
    internal bool TcpFinished { get; private set; }

    /// <summary>Datagrams that came and were sent back.</summary>
    internal long Datagrams { get; private set; }

    /// <summary>Sends no more over TCP; what the guest still sends is read to its end.</summary>
    internal void EndTraffic() => _closing = true;

    public void Dispose()
    {
        _closing = true;
        _udp.Dispose();
        _listener.Dispose();
        _connection?.Dispose();
        foreach (Thread thread in _threads)
        {
            thread.Join();
        }
    }

    private static Thread Begin(string name, int pair, Action run)
    {
        var thread = new Thread(() => UntilClosed(run)) { Name = $"host-{name}-{pair}", IsBackground = true };
        thread.Start();
        return thread;
    }

    /// <summary>A socket that is closed ends its thread; so does a connection that breaks, which a check will see.</summary>
    private static void UntilClosed(Action run)
    {
        try
        {
            run();
        }
        catch (Exception closed) when (closed is SocketException or ObjectDisposedException)
        {
        }
    }

    private void EchoUdp()
    {
        byte[] datagram = new byte[2048];
        var from = new SocketAddress(AddressFamily.InterNetwork);
        while (true)
        {
            int length = _udp.ReceiveFrom(datagram, SocketFlags.None, from);
            ReadOnlySpan<byte> payload = datagram.AsSpan(0, length);
            Corrupt |= length < GuestUdp.NumberSize
                || !Pattern.Holds(payload[GuestUdp.NumberSize..], BinaryPrimitives.ReadInt64LittleEndian(payload));
            _udp.SendTo(payload, SocketFlags.None, from);
            Datagrams++;
        }
    }

    private void ServeTcp()
    {
        using Socket connection = _listener.Accept();
        _connection = connection;
        var writer = new Thread(() => UntilClosed(() => WriteTcp(connection))) { Name = "host-tcp-out", IsBackground = true };
        writer.Start();
        byte[] chunk = new byte[Chunk];
        int length;
        while ((length = connection.Receive(chunk)) > 0)
        {
            Corrupt |= !Pattern.Holds(chunk.AsSpan(0, length), TcpReceived);
            TcpReceived += length;
        }

        TcpFinished = true;
        writer.Join();
    }

    private void WriteTcp(Socket connection)
    {
        byte[] chunk = new byte[Chunk];
        while (!_closing)
        {
            Pattern.Write(chunk, TcpSent);
            TcpSent += connection.Send(chunk);
        }

        connection.Shutdown(SocketShutdown.Send);
    }
}
