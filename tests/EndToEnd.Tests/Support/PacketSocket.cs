using System.Buffers.Binary;
using System.ComponentModel;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// The host's side of a TAP, frame by frame (AF_PACKET): what is sent goes to the guest, what the guest sends is received.
/// </summary>
internal sealed class PacketSocket : IDisposable
{
    private const ushort AllProtocols = 0x0003; // ETH_P_ALL
    private const int Buffer = 64 << 20;
    private const int SocketLevel = 1;
    private const int SendBufferForce = 32;
    private const int ReceiveBufferForce = 33;
    private const int PacketLevel = 263;
    private const int PacketVnetHeader = 15;
    private const byte OutgoingPacket = 4;

    private readonly Socket _socket;

    private PacketSocket(Socket socket) => _socket = socket;

    /// <summary>Opens one on an interface of a namespace.</summary>
    /// <param name="network">The namespace.</param>
    /// <param name="networkInterface">The interface.</param>
    /// <param name="protocol">The EtherType of what is received, such as 0x0806 for ARP; else everything.</param>
    /// <param name="headers">
    /// True: before each frame stand the 10 bytes of a legacy virtio-net header (PACKET_VNET_HDR), so that a frame which is
    /// to be cut into segments crosses as one.
    /// </param>
    internal static PacketSocket Open(
        TestNamespace network, string networkInterface, ushort protocol = AllProtocols, bool headers = false) =>
        network.Inside(() => OpenHere(networkInterface, protocol, headers));

    /// <summary>
    /// Sends one frame, Ethernet header and all. One that comes faster than the device takes them is lost, as on a wire: the
    /// interface has no queue before the TAP's own, so the sender is told of it.
    /// </summary>
    internal void Send(ReadOnlySpan<byte> frame)
    {
        _socket.Send(frame, SocketFlags.None, out SocketError error);
        if (error is not (SocketError.Success or SocketError.NoBufferSpaceAvailable))
        {
            throw new SocketException((int)error);
        }
    }

    /// <summary>Sends one frame with a header, through a socket with headers.</summary>
    internal void Send(ReadOnlySpan<byte> frame, VirtioNetHeader header)
    {
        byte[] whole = new byte[VirtioNetHeader.Size + frame.Length];
        header.Write(whole);
        frame.CopyTo(whole.AsSpan(VirtioNetHeader.LegacySize));
        Send(whole.AsSpan(0, VirtioNetHeader.LegacySize + frame.Length));
    }

    /// <summary>The frame of what a socket with headers received, and its header.</summary>
    internal static ReadOnlySpan<byte> SplitHeader(byte[] received, out VirtioNetHeader header)
    {
        Span<byte> whole = stackalloc byte[VirtioNetHeader.Size];
        whole.Clear();
        received.AsSpan(0, VirtioNetHeader.LegacySize).CopyTo(whole);
        VirtioNetHeader.TryRead(whole, out header);
        return received.AsSpan(VirtioNetHeader.LegacySize);
    }

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

    private static PacketSocket OpenHere(string networkInterface, ushort protocol, bool headers)
    {
        Socket socket = new(AddressFamily.Packet, SocketType.Raw, (ProtocolType)BinaryPrimitives.ReverseEndianness(protocol));
        try
        {
            socket.SetRawSocketOption(SocketLevel, ReceiveBufferForce, BitConverter.GetBytes(Buffer));
            socket.SetRawSocketOption(SocketLevel, SendBufferForce, BitConverter.GetBytes(Buffer));
            socket.SetRawSocketOption(PacketLevel, PacketVnetHeader, BitConverter.GetBytes(headers ? 1 : 0));
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
