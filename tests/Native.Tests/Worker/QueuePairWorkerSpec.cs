using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>The worker as a whole: rings on one side, frames on the other.</summary>
public sealed class QueuePairWorkerSpec
{
    private const VirtioFeatures NoMergeable = VirtioFeatures.Version1 | VirtioFeatures.IndirectDesc;

    /// <summary>Engines and ring features in the combinations that change the paths taken.</summary>
    public static TheoryData<IoEngine, VirtioFeatures> Setups
    {
        get
        {
            var setups = new TheoryData<IoEngine, VirtioFeatures>();
            foreach (IoEngine engine in (IoEngine[])[IoEngine.Syscall, IoEngine.IoUring])
            {
                setups.Add(engine, WorkerBench.Modern);
                setups.Add(engine, NoMergeable);
                setups.Add(engine, VirtioFeatures.None);
                setups.Add(engine, WorkerBench.Modern | VirtioFeatures.InOrder);
                setups.Add(engine, WorkerBench.Modern | VirtioFeatures.RingPacked);
                setups.Add(engine, WorkerBench.Modern | VirtioFeatures.RingPacked | VirtioFeatures.InOrder);
                setups.Add(engine, NoMergeable | VirtioFeatures.RingPacked);
            }

            return setups;
        }
    }

    /// <summary>Engines and ring formats, for what needs mergeable buffers.</summary>
    public static TheoryData<IoEngine, VirtioFeatures> Mergeable => new()
    {
        { IoEngine.Syscall, WorkerBench.Modern },
        { IoEngine.IoUring, WorkerBench.Modern },
        { IoEngine.Syscall, WorkerBench.Modern | VirtioFeatures.RingPacked },
        { IoEngine.IoUring, WorkerBench.Modern | VirtioFeatures.RingPacked },
    };

    [Theory]
    [MemberData(nameof(Setups))]
    public void Frames_of_the_guest_reach_the_TAP_in_order_and_unchanged(IoEngine engine, VirtioFeatures features)
    {
        using var bench = new WorkerBench(engine, features, new VirtioNetOptions { QueueSize = 64, TransmitCuts = [3, 12, 40] });
        bench.StartBoth();
        for (int round = 0; round < 50; round++)
        {
            for (int i = 0; i < 10; i++)
            {
                Assert.True(bench.Guest.TrySend(Pattern(60 + (round * 20), (round * 10) + i)));
            }

            bench.Guest.FlushTx();
            for (int i = 0; i < 10; i++)
            {
                byte[] got = bench.Tap.Receive();
                Assert.Equal(Pattern(60 + (round * 20), (round * 10) + i), got[bench.Tap.Queue.HeaderSize..]);
            }

            bench.ReclaimAll();
        }

        Assert.Equal(500, bench.Counters[WorkerCounter.TxFrames]);
    }

    [Theory]
    [MemberData(nameof(Setups))]
    public void Frames_of_the_host_reach_the_guest_in_order_and_unchanged(IoEngine engine, VirtioFeatures features)
    {
        using var bench = new WorkerBench(engine, features, new VirtioNetOptions { QueueSize = 64, ReceiveBufferSize = 2048, ReceivePieces = 3 });
        bench.StartBoth();
        for (int round = 0; round < 60; round++)
        {
            for (int i = 0; i < 5; i++)
            {
                bench.SendToGuest(Pattern(60 + (round * 10), (round * 5) + i));
            }

            for (int i = 0; i < 5; i++)
            {
                (VirtioNetHeader header, byte[] frame) = bench.GuestReceives();
                Assert.Equal(Pattern(60 + (round * 10), (round * 5) + i), frame);
                Assert.True(bench.Tap.Queue.HeaderSize < 12 || header.Buffers == 1);
            }
        }

        Assert.Equal(300, bench.Counters[WorkerCounter.RxFrames]);
    }

    [Theory]
    [MemberData(nameof(Mergeable))]
    public void Large_frames_span_mergeable_buffers_among_small_ones(IoEngine engine, VirtioFeatures features)
    {
        using var bench = new WorkerBench(engine, features, new VirtioNetOptions { QueueSize = 256, ReceiveBufferSize = 1536 });
        bench.StartBoth();
        int[] lengths = [60, 65550, 1514, 9014, 65550, 65550, 60, 60, 60, 60, 60, 60, 30000, 60, 1524, 1525];
        for (int round = 0; round < 20; round++)
        {
            foreach (int length in lengths)
            {
                bench.SendToGuest(Pattern(length, length + round));
                (VirtioNetHeader header, byte[] frame) = bench.GuestReceives();
                Assert.Equal(Pattern(length, length + round), frame);
                Assert.Equal((length + 12 + 1535) / 1536, header.Buffers);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Mergeable))]
    public void A_burst_of_mixed_sizes_arrives_in_order(IoEngine engine, VirtioFeatures features)
    {
        using var bench = new WorkerBench(engine, features, new VirtioNetOptions { QueueSize = 256, ReceiveBufferSize = 1536 });
        int[] lengths = [60, 60, 60, 60, 60, 60, 60, 60, 5000, 60, 60, 1514, 20000, 60];
        for (int i = 0; i < lengths.Length; i++)
        {
            bench.SendToGuest(Pattern(lengths[i], i));
        }

        // The worker meets the whole burst at once, with a batch that has grown by the second round.
        bench.StartBoth();
        for (int round = 0; round < 30; round++)
        {
            for (int i = 0; i < lengths.Length; i++)
            {
                Assert.Equal(Pattern(lengths[i], i), bench.GuestReceives().Frame);
            }

            bench.Do(new StopRing(RingSide.Rx));
            for (int i = 0; i < lengths.Length; i++)
            {
                bench.SendToGuest(Pattern(lengths[i], i));
            }

            bench.Start(RingSide.Rx);
        }
    }

    [Fact]
    public void A_large_frame_waits_for_the_guest_to_post_enough_buffers()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern, new VirtioNetOptions { QueueSize = 16, ReceiveBufferSize = 1536 });
        bench.StartBoth();

        // 16 buffers of 1536 bytes: a frame of 20,000 needs 14; the one before it takes 4 until the guest posts them again.
        bench.SendToGuest(Pattern(6000, 1));
        bench.SendToGuest(Pattern(20000, 2));
        Assert.Equal(Pattern(6000, 1), bench.GuestReceives().Frame);
        Assert.Equal(Pattern(20000, 2), bench.GuestReceives().Frame);
        Assert.Equal(0, bench.Counters[WorkerCounter.RxDropped]);
    }

    [Theory]
    [InlineData(IoEngine.Syscall)]
    [InlineData(IoEngine.IoUring)]
    public void A_frame_that_fits_no_buffer_is_dropped_and_its_buffer_serves_the_next(IoEngine engine)
    {
        using var bench = new WorkerBench(engine, NoMergeable, new VirtioNetOptions { QueueSize = 4, ReceiveBufferSize = 256 });
        bench.StartBoth();
        for (int i = 0; i < 10; i++)
        {
            bench.SendToGuest(Pattern(1000, i));
            bench.SendToGuest(Pattern(100, i));
            Assert.Equal(Pattern(100, i), bench.GuestReceives().Frame);
        }

        Assert.Equal(10, bench.Counters[WorkerCounter.RxDropped]);
    }

    [Fact]
    public void A_worker_without_receive_buffers_sleeps_and_wakes_by_the_kick()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.Start(RingSide.Rx);
        bench.SendToGuest(Pattern(60, 1));
        long sleeps = bench.Counters[WorkerCounter.Sleeps];
        Assert.True(SpinWait.SpinUntil(() => bench.Counters[WorkerCounter.RxStarved] > 0, 5000), $"starved never, slept {sleeps}");
        bench.Guest.PostAll();
        Assert.Equal(Pattern(60, 1), bench.GuestReceives().Frame);
    }

    [Fact]
    public void A_disabled_transmit_ring_is_drained_and_nothing_is_sent()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.Start(RingSide.Tx, enabled: false);
        Assert.True(bench.Guest.TrySend(Pattern(60, 1)));
        bench.Guest.FlushTx();
        bench.ReclaimAll();
        Assert.Equal(1, bench.Counters[WorkerCounter.TxDiscarded]);

        bench.Do(new UpdateRing(RingSide.Tx, bench.PlanOf(RingSide.Tx)));
        Assert.True(bench.Guest.TrySend(Pattern(60, 2)));
        bench.Guest.FlushTx();
        Assert.Equal(Pattern(60, 2), bench.Tap.Receive()[12..]);
    }

    [Fact]
    public void A_disabled_receive_ring_gets_nothing_until_it_is_enabled()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.Guest.PostAll();
        bench.Start(RingSide.Rx, enabled: false);
        bench.SendToGuest(Pattern(60, 1));
        bench.Do(new UpdateRing(RingSide.Rx, bench.PlanOf(RingSide.Rx, enabled: false)));
        Assert.False(bench.Guest.TryReceive(out _, out _));
        bench.Do(new UpdateRing(RingSide.Rx, bench.PlanOf(RingSide.Rx)));
        Assert.Equal(Pattern(60, 1), bench.GuestReceives().Frame);
    }

    [Fact]
    public void A_ring_that_stops_and_starts_again_goes_on_where_it_stood()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.StartBoth();
        for (int i = 0; i < 5; i++)
        {
            bench.SendToGuest(Pattern(60, i));
            Assert.Equal(Pattern(60, i), bench.GuestReceives().Frame);
            var stopped = (RingStopped)bench.Do(new StopRing(RingSide.Rx));
            Assert.Equal((uint)(i + 1), stopped.Base);
            bench.Start(RingSide.Rx);
        }

        Assert.Equal(0u, ((RingStopped)bench.Do(new StopRing(RingSide.Tx))).Base);
        Assert.Null(((RingStopped)bench.Do(new StopRing(RingSide.Tx))).Base);
    }

    [Fact]
    public void A_ring_with_an_impossible_index_is_given_up_and_the_other_goes_on()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.StartBoth();
        bench.Ram.WriteU16(bench.Guest.Tx.Addresses.Driver + 2, 20000);
        bench.Guest.TxKick.Signal();
        RingBroken broken = bench.Await<RingBroken>();
        Assert.Equal(RingSide.Tx, broken.Side);
        Assert.Equal(1UL, bench.Guest.TxError.Drain());

        bench.SendToGuest(Pattern(60, 1));
        Assert.Equal(Pattern(60, 1), bench.GuestReceives().Frame);
    }

    [Fact]
    public void A_ring_outside_memory_is_refused_and_the_worker_lives()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.Do(new StartRing(RingSide.Tx, bench.PlanOf(RingSide.Tx) with { DeviceAddress = 16 }));
        Assert.Contains("used ring", bench.Await<RingBroken>().Reason, StringComparison.Ordinal);
        bench.Start(RingSide.Tx);
        Assert.True(bench.Guest.TrySend(Pattern(60, 1)));
        bench.Guest.FlushTx();
        Assert.Equal(Pattern(60, 1), bench.Tap.Receive()[12..]);
    }

    [Theory]
    [MemberData(nameof(Setups))]
    public void A_failed_worker_tells_where_its_rings_stood_and_its_successor_goes_on(IoEngine engine, VirtioFeatures features)
    {
        using var bench = new WorkerBench(engine, features, new VirtioNetOptions { QueueSize = 64, ReceiveBufferSize = 2048 });
        bench.StartBoth();
        bench.SendToGuest(Pattern(60, 0));
        Assert.Equal(Pattern(60, 0), bench.GuestReceives().Frame);
        bench.Worker.Post(new InjectFault("test"));
        WorkerExited exited = bench.Await<WorkerExited>();
        Assert.IsType<InjectedFaultException>(exited.Cause);
        uint start = features.HasFlag(VirtioFeatures.RingPacked) ? 0x8000_8000 : 0;
        uint step = features.HasFlag(VirtioFeatures.RingPacked) ? 0x0001_0001u : 1;
        Assert.Equal(start + step, exited.RxBase);
        Assert.Equal(start, exited.TxBase);
        Assert.Equal(WorkerState.Failed, bench.Worker.State);

        bench.SendToGuest(Pattern(61, 1));
        Assert.True(bench.Guest.TrySend(Pattern(62, 2)));
        bench.Guest.FlushTx();
        bench.Restart();
        bench.Start(RingSide.Rx);
        bench.Start(RingSide.Tx);
        Assert.Equal(Pattern(61, 1), bench.GuestReceives().Frame);
        Assert.Equal(Pattern(62, 2), bench.Tap.Receive()[bench.Tap.Queue.HeaderSize..]);
    }

    [Fact]
    public void A_registered_fd_is_served_on_the_workers_thread()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        using var extra = new EventFd();
        using var served = new ManualResetEventSlim();
        string? thread = null;
        bench.Do(new WatchFd(extra.Fd, () =>
        {
            extra.Drain();
            thread = Thread.CurrentThread.Name;
            served.Set();
        }));
        extra.Signal();
        Assert.True(served.Wait(5000));
        Assert.Equal("test/pair-0", thread);
        bench.Do(new UnwatchFd(extra.Fd));
    }

    [Fact]
    public void A_frame_of_our_own_goes_out_behind_an_empty_header()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.Do(new SendFrame(Pattern(60, 9)));
        byte[] got = bench.Tap.Receive();
        Assert.All(got[..12], value => Assert.Equal(0, value));
        Assert.Equal(Pattern(60, 9), got[12..]);
    }

    [Fact]
    public void Memory_is_replaced_under_running_rings_and_the_old_table_is_let_go()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.StartBoth();
        for (int i = 0; i < 20; i++)
        {
            GuestMemory again = GuestMemory.Map([.. bench.Ram.Regions.Select((region, n) => (region, bench.Ram.FileOf(n)))]);
            bench.Do(new ReplaceMemory(again));
            again.Release();
            bench.SendToGuest(Pattern(60, i));
            Assert.Equal(Pattern(60, i), bench.GuestReceives().Frame);
        }
    }

    [Fact]
    public void A_ring_that_the_new_table_does_not_hold_is_given_up()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.StartBoth();
        bench.Do(new ReplaceMemory(GuestMemory.Empty));
        Assert.Equal(RingSide.Rx, bench.Await<RingBroken>().Side);
        Assert.Equal(RingSide.Tx, bench.Await<RingBroken>().Side);
    }

    [Theory]
    [MemberData(nameof(Mergeable))]
    public void Steady_traffic_allocates_nothing(IoEngine engine, VirtioFeatures features)
    {
        using var bench = new WorkerBench(engine, features);
        bench.StartBoth();
        using var extra = new EventFd();
        long allocated = 0;
        using var sampled = new AutoResetEvent(false);
        bench.Do(new WatchFd(extra.Fd, () =>
        {
            EventFd.Drain(extra.Fd.Number);
            allocated = GC.GetAllocatedBytesForCurrentThread();
            sampled.Set();
        }));

        Echo(bench, 200);
        extra.Signal();
        Assert.True(sampled.WaitOne(5000));
        long before = allocated;
        Echo(bench, 2000);
        extra.Signal();
        Assert.True(sampled.WaitOne(5000));
        Assert.Equal(before, allocated);
    }

    private static void Echo(WorkerBench bench, int frames)
    {
        byte[] frame = Pattern(200, 1);
        for (int i = 0; i < frames; i++)
        {
            bench.SendToGuest(frame);
            bench.GuestReceives();
            Assert.True(bench.Guest.TrySend(frame));
            bench.Guest.FlushTx();
            bench.Tap.Receive();
        }
    }

    private static byte[] Pattern(int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
