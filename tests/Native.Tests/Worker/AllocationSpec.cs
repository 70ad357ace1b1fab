using System.Net;
using System.Net.Sockets;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>Steady traffic over a real TAP leaves the managed heap alone, as the worker's own thread counts it.</summary>
public sealed class AllocationSpec : IDisposable
{
    private const int FirstFrames = 5_000;
    private const int Frames = 50_000;
    private const int Burst = 64;
    private const int PayloadSize = 100;
    private const int FrameSize = 14 + 20 + 8 + PayloadSize;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly IPEndPoint HostAddress = new(IPAddress.Parse("192.0.2.1"), 0);
    private static readonly IPEndPoint Everybody = new(IPAddress.Parse("192.0.2.255"), 4711);

    private readonly TapFixture? _fixture = Requirement.HasNetworkNamespaces ? new TapFixture() : null;
    private readonly EventFd _question = new();
    private readonly SemaphoreSlim _answered = new(0);
    private long _allocated;

    public static TheoryData<IoEngine> Engines => [IoEngine.Syscall, IoEngine.IoUring];

    public void Dispose()
    {
        _fixture?.Dispose();
        _question.Dispose();
        _answered.Dispose();
    }

    [SkippableTheory]
    [MemberData(nameof(Engines))]
    public void Frames_from_the_guest_allocate_nothing(IoEngine engine)
    {
        Requirement.NetworkNamespaces();
        using TapInterface tap = Open();
        using var bench = new WorkerBench(engine, WorkerBench.Modern, tap: tap.Queues[0]);
        bench.StartBoth();
        byte[] frame = new byte[60];
        frame.AsSpan(0, 6).Fill(0xff);
        (frame[6], frame[12], frame[13]) = (2, 0x88, 0xb5);

        ExpectNoAllocation(bench, frames => Send(bench, frame, frames));

        Assert.Equal(FirstFrames + Frames, bench.Counters[WorkerCounter.TxFrames]);
    }

    [SkippableTheory]
    [MemberData(nameof(Engines))]
    public void Frames_that_are_merged_allocate_nothing(IoEngine engine)
    {
        Requirement.NetworkNamespaces();
        using TapInterface tap = Open();
        using var bench = new WorkerBench(engine, WorkerBench.Modern, tap: tap.Queues[0], merge: true);
        bench.StartBoth();
        byte[] frame = new GuestFrame { Checksum = ChecksumState.Whole }.Build()[VirtioNetHeader.Size..];

        ExpectNoAllocation(bench, frames => Send(bench, frame, frames));

        Assert.InRange(bench.Counters[WorkerCounter.TxMerged], Frames / 2, FirstFrames + Frames);
    }

    [SkippableTheory]
    [MemberData(nameof(Engines))]
    public void Frames_to_the_guest_allocate_nothing(IoEngine engine)
    {
        Requirement.NetworkNamespaces();
        using TapInterface tap = Open();
        using var bench = new WorkerBench(engine, WorkerBench.Modern, tap: tap.Queues[0]);
        bench.StartBoth();
        using UdpClient host = _fixture!.Net.Run(() => new UdpClient(HostAddress) { EnableBroadcast = true });

        ExpectNoAllocation(bench, frames => Receive(bench, host, frames));

        Assert.True(bench.Counters[WorkerCounter.RxFrames] >= FirstFrames + Frames);
    }

    private TapInterface Open() => _fixture!.Open(TapFixture.Options() with { Addresses = [IpPrefix.Parse("192.0.2.1/24")] });

    private void ExpectNoAllocation(WorkerBench bench, Action<int> move)
    {
        using FdLease question = _question.Fd.Lease();
        bench.Do(new WatchFd(_question.Fd, () =>
        {
            EventFd.Drain(question.Number);
            _allocated = GC.GetAllocatedBytesForCurrentThread();
            _answered.Release();
        }));
        move(FirstFrames);
        long before = AllocatedByWorker();
        move(Frames);
        Assert.Equal(0, AllocatedByWorker() - before);
    }

    private long AllocatedByWorker()
    {
        _question.Signal();
        Assert.True(_answered.Wait(Patience), "the worker did not answer");
        return _allocated;
    }

    /// <summary>Sends a frame that the host does not want, over and over, and takes all buffers back.</summary>
    private static void Send(WorkerBench bench, byte[] frame, int frames)
    {
        for (int sent = 0; sent < frames;)
        {
            if (bench.Guest.TrySend(frame))
            {
                sent++;
                continue;
            }

            bench.Guest.FlushTx();
            if (bench.Guest.Reclaim() == 0)
            {
                Assert.True(bench.Guest.WaitTx(Patience), "sent chains did not come back");
            }
        }

        bench.Guest.FlushTx();
        bench.ReclaimAll();
    }

    /// <summary>Broadcasts datagrams in bursts that the ring has room for; the guest takes them all.</summary>
    private static void Receive(WorkerBench bench, UdpClient host, int frames)
    {
        byte[] payload = new byte[PayloadSize];
        for (int received = 0; received < frames;)
        {
            int burst = Math.Min(Burst, frames - received);
            for (int i = 0; i < burst; i++)
            {
                host.Send(payload, Everybody);
            }

            // The host's own chatter (IPv6 router solicitations) comes in between.
            for (int left = burst; left > 0;)
            {
                left -= bench.GuestReceives().Frame.Length == FrameSize ? 1 : 0;
            }

            received += burst;
        }
    }
}
