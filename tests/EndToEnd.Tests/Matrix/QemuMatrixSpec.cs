using System.Globalization;
using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests.Matrix;

/// <summary>
/// A sample of the matrix with Linux's own driver, in guests under QEMU. The guest's kernel sends back every frame on the queue
/// pair it came by, and every frame is accounted for at the host's side of the TAP; then a TCP connection carries noise both
/// ways, of which host and guest compare checksums.
/// </summary>
/// <remarks>
/// The cells are such that each two of the switches that QEMU has for a card meet in every combination (<see cref="Pairwise"/>).
/// IN_ORDER is not among them: QEMU does not pass it on. A ring for vhost-user has 256 to 1024 descriptors there.
/// </remarks>
public sealed class QemuMatrixSpec : ServedGuest
{
    private const int Window = 32;
    private const int LongWindow = 4;
    private const int StreamBytes = 4 << 20;

    /// <summary>By its path, for the shell has a lesser one of that name.</summary>
    private const string TrafficControl = "/bin/tc";

    private static readonly RingCell[] Sample =
    [
        Cell(packed: true, indirect: true, eventIndex: true, mergeable: true, 2, 1024),
        Cell(packed: true, indirect: true, eventIndex: false, mergeable: false, 2, 256),
        Cell(packed: true, indirect: false, eventIndex: true, mergeable: false, 1, 1024),
        Cell(packed: false, indirect: true, eventIndex: false, mergeable: true, 1, 256),
        Cell(packed: false, indirect: false, eventIndex: true, mergeable: true, 1, 256),
        Cell(packed: false, indirect: false, eventIndex: false, mergeable: false, 2, 1024),
    ];

    private static readonly Dictionary<string, RingCell> CellsByName = Sample.ToDictionary(cell => cell.ToString());

    private RingCell _cell = Sample[0];

    public static TheoryData<string> Cells => [.. CellsByName.Keys];

    internal override int Mtu => MatrixCard.Mtu;

    internal override QemuOptions Card => new()
    {
        Queues = _cell.Pairs,
        DeviceProperties =
        [
            Property("packed", _cell.Packed), Property("indirect_desc", _cell.Indirect), Property("event_idx", _cell.EventIndex),
            Property("mrg_rxbuf", _cell.Mergeable), $"rx_queue_size={Text(_cell.QueueSize)}",
            $"tx_queue_size={Text(_cell.QueueSize)}", $"host_mtu={Text(Mtu)}",
        ],
    };

    [Fact]
    public void Each_two_switches_meet_in_every_combination() => Assert.Empty(Pairwise.Missing(
        Sample,
        cell => cell.Packed, cell => cell.Indirect, cell => cell.EventIndex, cell => cell.Mergeable, cell => cell.Pairs,
        cell => cell.QueueSize));

    [SkippableTheory]
    [MemberData(nameof(Cells))]
    public async Task Every_frame_comes_back_from_the_guest_and_every_byte_of_a_stream(string cell)
    {
        Backends.SkipForDpdk("its rings are not in question here");
        _cell = CellsByName[cell];
        QemuGuest guest = await GuestAsync();
        Assert.Equal(_cell.Features, await FeaturesAsync(guest) & RingCell.Switched);
        Assert.Equal(Text(Mtu), await guest.MustRunAsync("cat /sys/class/net/eth0/mtu"));

        await MirrorAsync(guest);
        await GuestChecks.AssertEveryQueueWasUsedAsync(guest, _cell.Pairs);
        await LoadAsync();
        using EchoStream stream = await EchoStream.StartAsync(Network, guest);
        await stream.ProgressAsync(StreamBytes);
        await stream.EndAsync(guest);
    }

    private async Task MirrorAsync(QemuGuest guest)
    {
        // A frame leaves by the pair it came by, unless the CPU that has it is to choose.
        if (_cell.Pairs > 1)
        {
            await guest.MustRunAsync("for map in /sys/class/net/eth0/queues/tx-*/xps_cpus; do echo 0 > $map; done");
        }

        await guest.MustRunAsync($"{TrafficControl} qdisc add dev eth0 ingress");
        await guest.MustRunAsync(
            $"{TrafficControl} filter add dev eth0 ingress matchall action mirred egress redirect dev eth0");
        using (PacketSocket host = OpenHost(headers: true))
        {
            MirrorExchange exchange = new(host);

            // More than one lap of each ring.
            exchange.Move(60, _cell.Pairs * (_cell.QueueSize + 70), Window);
            exchange.Move(1514, 200, Window);
            exchange.Move(MatrixFrame.LargestPlain, 100, Window);
            exchange.Move(MatrixFrame.LongestWhole, 16, LongWindow);
            Assert.Equal((16, 0), (exchange.Account.Whole, exchange.Account.Segments));
        }

        await guest.MustRunAsync($"{TrafficControl} qdisc del dev eth0 ingress");
    }

    /// <summary>As many frames as the guest can take and send, so that rings run full and empty.</summary>
    private async Task LoadAsync()
    {
        foreach (string[] direction in new string[][] { [], ["-R"] })
        {
            IperfResult result = await IperfResult.RunAsync(Network, GuestAddress, ["-P", "8", "-t", "1", .. direction]);
            Assert.True(result.BitsPerSecond > GuestChecks.LeastBitsPerSecond, result.ToString());
        }
    }

    /// <summary>The features that the guest's driver has acknowledged: a digit for each bit, from bit 0 on.</summary>
    private static async Task<VirtioFeatures> FeaturesAsync(QemuGuest guest)
    {
        string bits = await guest.MustRunAsync("cat /sys/class/net/eth0/device/features");
        return (VirtioFeatures)ulong.Parse(
            string.Concat(bits.Trim().Reverse()), NumberStyles.BinaryNumber, CultureInfo.InvariantCulture);
    }

    private static RingCell Cell(bool packed, bool indirect, bool eventIndex, bool mergeable, int pairs, int size) =>
        new(packed, indirect, eventIndex, mergeable, InOrder: false, pairs, size);

    private static string Property(string name, bool on) => $"{name}={(on ? "on" : "off")}";

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
