using System.Net;
using System.Net.Sockets;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Tap;

/// <summary>What the kernel puts into the queues: seen with UDP broadcasts, which need no neighbour.</summary>
public sealed class TapTrafficSpec : IDisposable
{
    private const int Port = 4711;
    private const int EthernetAndIp = 14 + 20;
    private const int SOL_UDP = 17;
    private const int UDP_SEGMENT = 103;

    private static readonly IPEndPoint Everybody = new(IPAddress.Parse("192.0.2.255"), Port);

    private readonly TapFixture? _fixture = Requirement.HasNetworkNamespaces ? new TapFixture() : null;

    public void Dispose() => _fixture?.Dispose();

    [SkippableFact]
    public void A_read_of_an_empty_queue_does_not_block()
    {
        using TapInterface tap = Open(queues: 1, address: null);
        Eventually.True(() => Read(tap.Queues[0]) is null).GetAwaiter().GetResult();
    }

    [SkippableFact]
    public async Task Frames_have_a_header_of_the_length_set()
    {
        using TapInterface tap = Open(queues: 1);
        byte[] frame = await Send(tap, new byte[100]);
        Assert.Equal(VirtioNetHeader.Size + EthernetAndIp + 8 + 100, frame.Length);

        tap.SetHeaderSize(VirtioNetHeader.LegacySize);
        Assert.Equal(VirtioNetHeader.LegacySize, tap.Queues[0].HeaderSize);
        byte[] legacy = await Send(tap, new byte[100], VirtioNetHeader.LegacySize);
        Assert.Equal(VirtioNetHeader.LegacySize + EthernetAndIp + 8 + 100, legacy.Length);

        Assert.Equal(Errno.EINVAL, Assert.Throws<LinuxException>(() => tap.SetHeaderSize(9)).Error);
    }

    [SkippableFact]
    public async Task Checksums_are_left_open_only_while_that_is_allowed()
    {
        using TapInterface tap = Open(queues: 1);
        Assert.Equal(0, Header(await Send(tap, [1])).Flags & VirtioNetHeader.FlagNeedsCsum);

        Assert.Equal(TapOffloads.Csum, tap.SetOffloads(TapOffloads.Csum));
        VirtioNetHeader open = Header(await Send(tap, [1]));
        Assert.Equal(VirtioNetHeader.FlagNeedsCsum, open.Flags);
        Assert.Equal((EthernetAndIp, 6), (open.ChecksumStart, open.ChecksumOffset));

        tap.SetOffloads(TapOffloads.None);
        Assert.Equal(0, Header(await Send(tap, [1])).Flags & VirtioNetHeader.FlagNeedsCsum);
    }

    [SkippableFact]
    public async Task Unsegmented_UDP_comes_only_where_it_is_supported_and_allowed()
    {
        using TapInterface tap = Open(queues: 1);
        const TapOffloads Uso = TapOffloads.Csum | TapOffloads.Uso4 | TapOffloads.Uso6;
        Requirement.Demand(tap.Supported.HasFlag(Uso), "this kernel's TAP has no USO; it needs Linux 6.2");

        byte[] segment = await Send(tap, new byte[3000], segmentSize: 1000);
        Assert.Equal(VirtioNetHeader.GsoNone, Header(segment).GsoType);
        Assert.Equal(VirtioNetHeader.Size + EthernetAndIp + 8 + 1000, segment.Length);

        Assert.Equal(Uso, tap.SetOffloads(Uso));
        Drain(tap.Queues[0]);
        byte[] whole = await Send(tap, new byte[3000], segmentSize: 1000);
        Assert.Equal((VirtioNetHeader.GsoUdpL4, 1000), (Header(whole).GsoType, Header(whole).GsoSize));
        Assert.Equal(VirtioNetHeader.Size + EthernetAndIp + 8 + 3000, whole.Length);
    }

    [SkippableFact]
    public void Offloads_that_the_kernel_cannot_do_alone_are_left_out()
    {
        using TapInterface tap = Open(queues: 1);
        const TapOffloads Tso = TapOffloads.Csum | TapOffloads.Tso4 | TapOffloads.Tso6 | TapOffloads.TsoEcn;
        Assert.Equal(Tso, tap.Supported & Tso);

        Assert.Equal(TapOffloads.None, tap.SetOffloads(TapOffloads.Tso4 | TapOffloads.Uso4));
        Assert.Equal(TapOffloads.Csum, tap.SetOffloads(TapOffloads.Csum | TapOffloads.TsoEcn | TapOffloads.Uso4));
        Assert.Equal(TapOffloads.Csum, tap.SetOffloads(TapOffloads.Csum | TapOffloads.Uso6));
        TapOffloads ecn = TapOffloads.Csum | TapOffloads.Tso6 | TapOffloads.TsoEcn;
        Assert.Equal(ecn, tap.SetOffloads(ecn));
        Assert.Equal(tap.Supported, tap.SetOffloads(tap.Supported));
        var unknown = (TapOffloads)0x4000_0000;
        Assert.Equal(Errno.EINVAL, Assert.Throws<LinuxException>(() => tap.SetOffloads(TapOffloads.Csum | unknown)).Error);
    }

    [SkippableFact]
    public async Task A_detached_queue_gets_no_flow_and_an_attached_one_gets_its_share()
    {
        using TapInterface tap = Open(queues: 2);
        tap.SetQueueAttached(1, attached: false);
        tap.SetQueueAttached(1, attached: false);
        (int first, int second) = await Spread(tap);
        Assert.Equal((Flows, 0), (first, second));

        tap.SetQueueAttached(1, attached: true);
        tap.SetQueueAttached(1, attached: true);
        (first, second) = await Spread(tap);
        Assert.Equal(Flows, first + second);
        Assert.True(first > 0 && second > 0, $"{first} and {second} of {Flows} flows");

        tap.SetQueueAttached(0, attached: false);
        Assert.Equal((0, Flows), await Spread(tap));
    }

    [SkippableFact]
    public async Task A_frame_that_is_written_reaches_the_hosts_stack()
    {
        using TapInterface tap = Open(queues: 1);
        // What the host broadcasts, sent back with another source address.
        byte[] frame = await Send(tap, [1, 2, 3]);
        using UdpClient receiver = _fixture!.Net.Run(() => new UdpClient(new IPEndPoint(IPAddress.Any, Port)));
        const int SourceAddress = VirtioNetHeader.Size + 14 + 12;
        frame[SourceAddress + 3] ^= 3;
        const int IpChecksum = VirtioNetHeader.Size + 14 + 10;
        frame.AsSpan(IpChecksum, 2).Clear();
        Checksum(frame.AsSpan(VirtioNetHeader.Size + 14, 20)).CopyTo(frame, IpChecksum);
        frame.AsSpan(VirtioNetHeader.Size + EthernetAndIp + 6, 2).Clear();
        Write(tap.Queues[0], frame);

        UdpReceiveResult got = await receiver.ReceiveAsync().Soon();
        Assert.Equal([1, 2, 3], got.Buffer);
        Assert.Equal("192.0.2.2", got.RemoteEndPoint.Address.ToString());
    }

    private const int Flows = 64;

    private TapInterface Open(int queues, string? address = "192.0.2.1/24")
    {
        Requirement.NetworkNamespaces();
        IpPrefix[] addresses = address is null ? [] : [IpPrefix.Parse(address)];
        return _fixture!.Open(TapFixture.Options(queues: queues) with { Addresses = addresses });
    }

    private static VirtioNetHeader Header(byte[] frame)
    {
        Assert.True(VirtioNetHeader.TryRead(frame, out VirtioNetHeader header));
        return header;
    }

    private static byte[] Checksum(ReadOnlySpan<byte> header)
    {
        uint sum = 0;
        for (int i = 0; i < header.Length; i += 2)
        {
            sum += (uint)((header[i] << 8) | header[i + 1]);
        }

        sum = (sum & 0xffff) + (sum >> 16);
        sum = ~((sum & 0xffff) + (sum >> 16));
        return [(byte)(sum >> 8), (byte)sum];
    }

    /// <summary>Broadcasts a payload and gives the first frame of it back, as read from queue 0.</summary>
    private async Task<byte[]> Send(TapInterface tap, byte[] payload, int headerSize = VirtioNetHeader.Size, int segmentSize = 0)
    {
        using UdpClient sender = Sender();
        if (segmentSize > 0)
        {
            sender.Client.SetRawSocketOption(SOL_UDP, UDP_SEGMENT, BitConverter.GetBytes(segmentSize));
        }

        sender.Send(payload, Everybody);
        byte[]? found = null;
        await Eventually.True(() =>
        {
            byte[]? frame = Read(tap.Queues[0]);
            found = frame is not null && IsOurs(frame, headerSize) ? frame : null;
            return found is not null;
        });
        return found!;
    }

    /// <summary>Sends one datagram of each flow and counts what comes in the two queues.</summary>
    private async Task<(int First, int Second)> Spread(TapInterface tap)
    {
        for (int i = 0; i < Flows; i++)
        {
            using UdpClient sender = Sender();
            sender.Send([0], Everybody);
        }

        int[] counts = [0, 0];
        await Eventually.True(() =>
        {
            foreach (TapQueue queue in tap.Queues)
            {
                byte[]? frame = Read(queue);
                counts[queue.Index] += frame is not null && IsOurs(frame, VirtioNetHeader.Size) ? 1 : 0;
            }

            return counts.Sum() == Flows;
        });
        return (counts[0], counts[1]);
    }

    private UdpClient Sender()
    {
        var from = new IPEndPoint(IPAddress.Parse("192.0.2.1"), 0);
        return _fixture!.Net.Run(() => new UdpClient(from) { EnableBroadcast = true });
    }

    /// <summary>UDP over IPv4 to our port, and not one of the multicasts that every new interface sends.</summary>
    private static bool IsOurs(byte[] frame, int headerSize)
    {
        ReadOnlySpan<byte> packet = frame.AsSpan(headerSize);
        return packet.Length >= EthernetAndIp + 8
            && packet[12] == 0x08 && packet[13] == 0x00
            && packet[23] == 17
            && ((packet[EthernetAndIp + 2] << 8) | packet[EthernetAndIp + 3]) == Port;
    }

    private static unsafe byte[]? Read(TapQueue queue)
    {
        byte[] buffer = new byte[70_000];
        using FdLease lease = queue.Fd.Lease();
        fixed (byte* bytes = buffer)
        {
            IoResult result = Sys.Read(lease.Number, bytes, (nuint)buffer.Length);
            Assert.True(result.Ok || result.WouldBlock, result.ToString());
            return result.Ok ? buffer[..(int)result.Count] : null;
        }
    }

    private static unsafe void Write(TapQueue queue, byte[] frame)
    {
        using FdLease lease = queue.Fd.Lease();
        fixed (byte* bytes = frame)
        {
            Assert.Equal(frame.Length, Sys.Write(lease.Number, bytes, (nuint)frame.Length).Count);
        }
    }

    private static void Drain(TapQueue queue)
    {
        while (Read(queue) is not null)
        {
        }
    }
}
