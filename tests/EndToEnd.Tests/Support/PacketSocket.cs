using System.Buffers.Binary;
using System.ComponentModel;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// The host's side of a TAP, frame by frame (AF_PACKET): what is sent goes to the guest, what the guest sends is received.
/// </summary>
internal sealed class PacketSocket : IDisposable
{
    private const ushort AllProtocols = 0x0003; // ETH_P_ALL
    private const int ReceiveBuffer = 64 << 20;
    private const byte OutgoingPacket = 4;

    private readonly Socket _socket;

    private PacketSocket(Socket socket) => _socket = socket;

    /// <summary>Opens one on an interface of a namespace.</summary>
    /// <param name="network">The namespace.</param>
    /// <param name="networkInterface">The interface.</param>
    /// <param name="protocol">The EtherType of what is received, such as 0x0806 for ARP; else everything.</param>
    internal static PacketSocket Open(TestNamespace network, string networkInterface, ushort protocol = AllProtocols) =>
        network.Inside(() => OpenHere(networkInterface, protocol));

    /// <summary>Sends one frame, Ethernet header and all.</summary>
    internal void Send(ReadOnlySpan<byte> frame) => _socket.Send(frame);

    /// <summary>The next frame that came in from the guest; null when none came in time. Own frames are left out.</summary>
    internal byte[]? Receive(TimeSpan timeout)
    {
        byte[] buffer = new byte[70_000];
        DateTime deadline = DateTime.UtcNow + timeout;
        while (_socket.Poll(TimeSpan.FromTicks(Math.Max(0, (deadline - DateTime.UtcNow).Ticks)), SelectMode.SelectRead))
        {
            SocketAddress from = new(AddressFamily.Packet);
            int length = _socket.ReceiveFrom(buffer, SocketFlags.None, from);
            if (from[PacketEndPoint.PacketTypeOffset] != OutgoingPacket)
            {
                return buffer[..length];
            }
        }

        return null;
    }

    public void Dispose() => _socket.Dispose();

    private static PacketSocket OpenHere(string networkInterface, ushort protocol)
    {
        Socket socket = new(AddressFamily.Packet, SocketType.Raw, (ProtocolType)BinaryPrimitives.ReverseEndianness(protocol));
        try
        {
            socket.ReceiveBufferSize = ReceiveBuffer;
            socket.Bind(new PacketEndPoint(InterfaceIndex(networkInterface), protocol));
            return new PacketSocket(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static int InterfaceIndex(string name)
    {
        uint index = if_nametoindex(Encoding.ASCII.GetBytes(name + '\0'));
        return index != 0 ? (int)index : throw new Win32Exception(Marshal.GetLastPInvokeError(), $"if_nametoindex({name})");
    }

    [DllImport("libc", SetLastError = true)]
    private static extern uint if_nametoindex(byte[] name);

    /// <summary>struct sockaddr_ll: family at 0, protocol 2 (big-endian), interface 4, hardware 8, packet type 10.</summary>
    private sealed class PacketEndPoint(int interfaceIndex, ushort protocol) : EndPoint
    {
        internal const int Size = 20;
        internal const int PacketTypeOffset = 10;

        public override AddressFamily AddressFamily => AddressFamily.Packet;

        public override SocketAddress Serialize()
        {
            SocketAddress address = new(AddressFamily.Packet, Size);
            BinaryPrimitives.WriteUInt16BigEndian(address.Buffer.Span[2..], protocol);
            BinaryPrimitives.WriteInt32LittleEndian(address.Buffer.Span[4..], interfaceIndex);
            return address;
        }
    }
}
