using Ringmaster.Native.Driver.Frames;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Driver;

public sealed class PacketSpec
{
    private static readonly Station Guest = new(MacAddress.Parse("02:00:00:00:00:02"), 0xc0000202);
    private static readonly Station Host = new(MacAddress.Parse("02:00:00:00:00:01"), 0xc0000201);
    private readonly byte[] _frame = new byte[65550];

    [Fact]
    public void The_checksum_is_that_of_the_example_in_RFC_1071()
    {
        byte[] example = Convert.FromHexString("0001f203f4f5f6f7");
        Assert.Equal(0xddf2, InternetChecksum.Fold(InternetChecksum.Add(example)));
        Assert.Equal(unchecked((ushort)~0xddf2), InternetChecksum.Of(example));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(1500)]
    [InlineData(65535)]
    public void The_checksum_of_any_length_is_that_of_a_plain_loop(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        ulong plain = 0;
        for (int i = 0; i < length; i++)
        {
            plain += (ulong)bytes[i] << (i % 2 == 0 ? 8 : 0);
        }

        Assert.Equal(InternetChecksum.Fold(plain), InternetChecksum.Fold(InternetChecksum.Add(bytes)));
    }

    [Fact]
    public void An_ARP_request_stands_as_RFC_826_wants_it()
    {
        int length = PacketWriter.ArpRequest(_frame, Guest, Host.Ip);
        Assert.Equal(
            "FFFFFFFFFFFF0200000000020806" + "0001080006040001" + "020000000002C0000202" + "000000000000C0000201",
            Convert.ToHexString(_frame.AsSpan(0, length)));
        Packet packet = Parse(length);
        Assert.Equal(PacketKind.ArpRequest, packet.Kind);
        Assert.Equal(Guest, packet.From);
        Assert.Equal(Host.Ip, packet.ToIp);
    }

    [Fact]
    public void An_ARP_reply_tells_who_answers()
    {
        Packet packet = Parse(PacketWriter.ArpReply(_frame, Host, Guest));
        Assert.Equal(PacketKind.ArpReply, packet.Kind);
        Assert.Equal(Host, packet.From);
    }

    [Fact]
    public void A_datagram_arrives_with_ports_and_payload()
    {
        _frame[PacketWriter.DatagramPayload] = 0xab;
        int length = PacketWriter.Udp(_frame, Guest, Host, 1234, 5678, 1);
        Packet packet = Parse(length);
        Assert.Equal((PacketKind.Udp, 1234, 5678), (packet.Kind, packet.FromPort, packet.ToPort));
        Assert.Equal([0xab], packet.Payload.ToArray());
        Assert.Equal(43, length);
    }

    [Fact]
    public void A_damaged_datagram_is_nothing_unless_the_device_vouches_for_it()
    {
        int length = PacketWriter.Udp(_frame, Guest, Host, 1234, 5678, 100);
        _frame[80] ^= 1;
        Assert.Equal(PacketKind.Other, Parse(length).Kind);
        Assert.Equal(PacketKind.Udp, Parse(length, VirtioNetHeader.FlagDataValid).Kind);
        _frame[20] ^= 1;
        Assert.Equal(PacketKind.Other, Parse(length, VirtioNetHeader.FlagDataValid).Kind);
    }

    [Fact]
    public void An_echo_request_is_answered_by_turning_its_type()
    {
        int length = PacketWriter.Echo(_frame, Guest, Host, 7, 8, 56);
        Assert.Equal(PacketKind.EchoRequest, Parse(length).Kind);
        _frame[34] = 0;
        Assert.Equal(PacketKind.Other, Parse(length).Kind);
        _frame[36] += 8;
        Packet packet = Parse(length);
        Assert.Equal((PacketKind.EchoReply, 7, 8, 56), (packet.Kind, packet.FromPort, packet.ToPort, packet.Payload.Length));
    }

    [Fact]
    public void A_long_TCP_payload_makes_a_GSO_frame_with_a_partial_checksum()
    {
        var fields = new TcpFields(1, 2, 3, 4, TcpFlags.Ack | TcpFlags.Psh, 5);
        int length = PacketWriter.Tcp(_frame, Guest, Host, fields, [], 64240, 1460, out VirtioNetHeader offload);
        Assert.Equal(64294, length);
        Assert.Equal(new VirtioNetHeader(1, VirtioNetHeader.GsoTcp4, 54, 1460, 34, 16, 0), offload);
        Packet packet = Parse(length, VirtioNetHeader.FlagNeedsCsum);
        Assert.Equal(PacketKind.Tcp, packet.Kind);
        Assert.Equal(fields, packet.TcpFields);
        Assert.Equal(64240, packet.Payload.Length);

        // What the kernel does to complete it: the sum over everything from the start, pseudo header included.
        ushort whole = InternetChecksum.Of(_frame.AsSpan(34, length - 34));
        _frame[50] = (byte)(whole >> 8);
        _frame[51] = (byte)whole;
        Assert.Equal(PacketKind.Tcp, Parse(length).Kind);
    }

    [Fact]
    public void A_short_TCP_segment_has_its_options_and_no_GSO()
    {
        var fields = new TcpFields(1, 2, 3, 0, TcpFlags.Syn, 5);
        int length = PacketWriter.Tcp(_frame, Guest, Host, fields, [2, 4, 5, 180], 0, 1460, out VirtioNetHeader offload);
        Assert.Equal(58, length);
        Assert.Equal((VirtioNetHeader.GsoNone, 0), (offload.GsoType, offload.GsoSize));
        Assert.Equal([2, 4, 5, 180], Parse(length, VirtioNetHeader.FlagNeedsCsum).TcpOptions.ToArray());
    }

    [Fact]
    public void Any_cut_or_random_frame_is_taken_apart_without_a_fault()
    {
        int length = PacketWriter.Udp(_frame, Guest, Host, 1, 2, 10);
        for (int cut = 0; cut < length; cut++)
        {
            Assert.Equal(PacketKind.Other, Parse(cut).Kind);
        }

        var random = new Random(1);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] junk = new byte[random.Next(80)];
            random.NextBytes(junk);
            if (junk.Length > 14)
            {
                (junk[12], junk[13], junk[14]) = (8, 0, 0x45);
            }

            Packet.Parse(junk, default);
        }
    }

    private Packet Parse(int length, byte flags = 0) =>
        Packet.Parse(_frame.AsSpan(0, length), new VirtioNetHeader(flags, 0, 0, 0, 0, 0, 1));
}
