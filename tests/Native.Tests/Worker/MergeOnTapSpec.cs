using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>Merged frames on a real TAP: what the kernel makes of them is what the guest sent.</summary>
public sealed unsafe class MergeOnTapSpec : IDisposable
{
    private const int Bursts = 10;
    private const int Burst = 200;
    private const TapOffloads Uso = TapOffloads.Csum | TapOffloads.Uso4 | TapOffloads.Uso6;
    private const int Patience = 5000;
    private static readonly byte[] HostMac = [2, 0, 0, 0, 0, 2];
    private static readonly IPEndPoint Host = new(IPAddress.Parse("192.0.2.2"), 2000);
    private readonly TapFixture? _fixture = Requirement.HasNetworkNamespaces ? new TapFixture() : null;

    public static TheoryData<IoEngine, VirtioFeatures> Workers => new()
    {
        { IoEngine.Syscall, VirtioFeatures.None },
        { IoEngine.IoUring, VirtioFeatures.None },
        { IoEngine.Syscall, VirtioFeatures.RingPacked | VirtioFeatures.InOrder },
        { IoEngine.IoUring, VirtioFeatures.RingPacked | VirtioFeatures.InOrder },
    };

    public void Dispose() => _fixture?.Dispose();

    [SkippableTheory]
    [MemberData(nameof(Workers))]
    public void A_socket_of_the_host_gets_each_datagram_once_and_in_order(IoEngine engine, VirtioFeatures features)
    {
        Requirement.NetworkNamespaces();
        using TapInterface tap = Open("t0");
        using Socket host = _fixture!.Net.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp));
        host.Bind(Host);
        host.ReceiveTimeout = Patience;
        host.ReceiveBufferSize = 1 << 20;
        using var bench = new WorkerBench(engine, WorkerBench.Modern | features, tap: tap.Queues[0], merge: true);
        bench.StartBoth();

        byte[] received = new byte[2048];
        for (int first = 0; first < Bursts * Burst; first += Burst)
        {
            GuestFrame[] frames = [.. Enumerable.Range(first, Burst).Select(Numbered)];
            Send(bench, frames);
            foreach (GuestFrame frame in frames)
            {
                int length = host.Receive(received);
                Assert.Equal(frame.Payload, received[..length]);
            }
        }

        Assert.Equal(0, host.Available);
        Assert.Equal(Bursts * Burst, bench.Counters[WorkerCounter.TxFrames]);
        Assert.Equal(Bursts * Burst, bench.Counters[WorkerCounter.TxMerged]);
        Assert.Equal(Bursts * Burst * (14 + 28 + Numbered(0).Payload.Length), bench.Counters[WorkerCounter.TxBytes]);
    }

    [SkippableTheory]
    [InlineData(false, false, IoEngine.IoUring)]
    [InlineData(true, false, IoEngine.IoUring)]
    [InlineData(false, true, IoEngine.IoUring)]
    [InlineData(true, true, IoEngine.IoUring)]
    [InlineData(false, false, IoEngine.Syscall)]
    [InlineData(true, true, IoEngine.Syscall)]
    public void Whoever_needs_single_frames_gets_those_that_the_guest_sent(bool tcp, bool ip6, IoEngine engine)
    {
        Requirement.NetworkNamespaces();
        _fixture!.AddBridge("br0");
        _fixture.Net.Run(() =>
        {
            using var netlink = new Rtnetlink();
            netlink.SetUp(netlink.Find("br0")!, up: true);
        });
        using TapInterface tap = Open("t0", bridge: "br0");
        using TapInterface other = Open("t1", bridge: "br0");
        using var bench = new WorkerBench(engine, WorkerBench.Modern, tap: tap.Queues[0], merge: true);
        bench.StartBoth();

        for (int first = 0; first < Bursts * Burst; first += Burst)
        {
            GuestFrame[] frames = [.. Segments(tcp, ip6, first)];
            Send(bench, frames);
            Assert.Equal(
                frames.SelectMany(frame => ReferenceSegmenter.Cut(frame.Build())).Select(ReferenceSegmenter.Plain),
                frames.Select(_ => ReferenceSegmenter.Plain(ReadGuestFrame(other))));
        }

        Assert.Equal(Bursts * Burst, bench.Counters[WorkerCounter.TxFrames]);
        Assert.InRange(bench.Counters[WorkerCounter.TxMerged], Bursts * Burst / 2, Bursts * Burst);
        Assert.Equal(0, bench.Counters[WorkerCounter.TxMergesRefused]);
    }

    private TapInterface Open(string name, string? bridge = null)
    {
        TapInterface tap = _fixture!.Open(TapFixture.Options(name) with
        {
            HostMac = bridge is null ? new MacAddress(HostMac) : null,
            Addresses = bridge is null ? [IpPrefix.Parse(Host.Address + "/24")] : [],
            Bridge = bridge,
        });
        Requirement.Demand(tap.Supported.HasFlag(Uso), "this kernel's TAP has no USO; it needs Linux 6.2");
        return tap;
    }

    private static GuestFrame Numbered(int number)
    {
        byte[] payload = new byte[22];
        BinaryPrimitives.WriteInt32LittleEndian(payload, number);
        return new GuestFrame { Payload = payload, Checksum = ChecksumState.Whole };
    }

    /// <summary>A flow of which some segments are short, some end with PSH, and most can be merged.</summary>
    private static IEnumerable<GuestFrame> Segments(bool tcp, bool ip6, int first)
    {
        uint sequence = uint.MaxValue - 50_000;
        for (int i = first; i < first + Burst; i++)
        {
            GuestFrame frame = new()
            {
                Tcp = tcp,
                Ip6 = ip6,
                Payload = [.. Enumerable.Range(i, i % 9 == 0 ? 99 : 500).Select(value => (byte)value)],
                DontFragment = i % 40 < 20,
                Id = (ushort)(65_000 + i),
                Sequence = sequence,
                Flags = i % 7 == 0 ? (byte)0x18 : (byte)0x10,
                Options = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
                Checksum = i % 2 == 0 ? ChecksumState.Whole : ChecksumState.Partial,
            };
            sequence += (uint)frame.Payload.Length;
            yield return frame;
        }
    }

    private static void Send(WorkerBench bench, IEnumerable<GuestFrame> frames)
    {
        foreach (GuestFrame frame in frames)
        {
            byte[] bytes = frame.Build();
            Assert.True(VirtioNetHeader.TryRead(bytes, out VirtioNetHeader header));
            Assert.True(bench.Guest.TrySend(bytes.AsSpan(VirtioNetHeader.Size), header));
        }

        bench.Guest.FlushTx();
        bench.ReclaimAll();
    }

    /// <summary>The next frame of the guest's; what the bridge itself sends is passed over.</summary>
    private static byte[] ReadGuestFrame(TapInterface tap)
    {
        byte[] buffer = new byte[70_000];
        using FdLease lease = tap.Queues[0].Fd.Lease();
        while (true)
        {
            Assert.True(FdWait.For(tap.Queues[0].Fd, FdWait.In, TimeSpan.FromMilliseconds(Patience)), "a frame is missing");
            fixed (byte* bytes = buffer)
            {
                int length = (int)Sys.Read(lease.Number, bytes, (nuint)buffer.Length).OrThrow("read(TAP)");
                byte[] frame = buffer[VirtioNetHeader.Size..length];
                if (frame.AsSpan(6, 6).SequenceEqual(new byte[] { 2, 0, 0, 0, 0, 1 }))
                {
                    Assert.Equal(VirtioNetHeader.GsoNone, buffer[1]);
                    return frame;
                }
            }
        }
    }
}
