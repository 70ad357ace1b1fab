using Ringmaster.Native.Driver.Frames;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Bench.Compare.Bare;

/// <summary>
/// The frames that move, by hand: with a virtio header, to a station that is not there. The kernel looks at them and lets
/// them go.
/// </summary>
internal static class BareFrame
{
    /// <summary>Payload of one segment of a GSO frame: 1500 bytes of MTU less IPv4 and TCP headers with time stamps.</summary>
    internal const int Segment = 1448;

    internal const int Header = VirtioNetHeader.Size;

    private static readonly Station Guest = new(new MacAddress([2, 0, 0, 0, 0, 1]), 0xc6120001);
    private static readonly Station Host = new(new MacAddress([2, 0, 0, 0, 0, 0]), 0xc6120002);

    /// <summary>As the guest sends it.</summary>
    internal static byte[] FromGuest(int size, bool gso) => Build(Guest, Host, size, gso);

    /// <summary>As the host sends it.</summary>
    internal static byte[] FromHost(int size, bool gso) => Build(Host, Guest, size, gso);

    private static byte[] Build(Station from, Station to, int size, bool gso)
    {
        byte[] bytes = new byte[Header + size];
        Span<byte> frame = bytes.AsSpan(Header);
        VirtioNetHeader header = default;
        if (gso)
        {
            var fields = new TcpFields(9, 9, 0, 0, TcpFlags.Ack, 0);
            PacketWriter.Tcp(frame, from, to, fields, [], size - PacketWriter.TcpPayload, Segment, out header);
        }
        else
        {
            PacketWriter.Udp(frame, from, to, 9, 9, size - PacketWriter.DatagramPayload);
        }

        header.Write(bytes);
        return bytes;
    }
}
