using Ringmaster.Native.Driver.Frames;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Driver.Load;

/// <summary>The frames of a load that nobody looks into: UDP, or unsegmented TCP.</summary>
internal static class LoadFrame
{
    /// <summary>Payload of one segment: an MTU of 1500 less IPv4 and TCP headers with time stamps.</summary>
    private const int Segment = 1448;
    private const ushort FirstPort = 40000;
    private const ushort Discard = 9;

    /// <summary>Writes a frame of the size that the options say.</summary>
    /// <param name="frame">Where.</param>
    /// <param name="options">Size and kind.</param>
    /// <param name="from">Sender.</param>
    /// <param name="to">Receiver.</param>
    /// <param name="flow">Which flow it belongs to.</param>
    /// <returns>What to tell the device.</returns>
    internal static VirtioNetHeader Write(Span<byte> frame, LoadOptions options, Station from, Station to, int flow)
    {
        ushort port = (ushort)(FirstPort + flow);
        VirtioNetHeader header = default;
        if (options.Gso)
        {
            var fields = new TcpFields(port, Discard, 0, 0, TcpFlags.Ack, 0);
            PacketWriter.Tcp(frame, from, to, fields, [], options.FrameSize - PacketWriter.TcpPayload, Segment, out header);
        }
        else
        {
            PacketWriter.Udp(frame, from, to, port, Discard, options.FrameSize - PacketWriter.DatagramPayload);
        }

        return header;
    }
}
