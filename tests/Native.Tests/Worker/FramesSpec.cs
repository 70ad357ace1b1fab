using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>Frames through the worker: complete, in order and unchanged, whatever their sizes.</summary>
public sealed class FramesSpec
{
    [Theory]
    [MemberData(nameof(WorkerSetups.All), MemberType = typeof(WorkerSetups))]
    public void Frames_of_the_guest_reach_the_TAP_in_order_and_unchanged(IoEngine engine, VirtioFeatures features)
    {
        using var bench = new WorkerBench(engine, features, new VirtioNetOptions { QueueSize = 64, TransmitCuts = [3, 12, 40] });
        bench.StartBoth();
        for (int round = 0; round < 50; round++)
        {
            for (int i = 0; i < 10; i++)
            {
                Assert.True(bench.Guest.TrySend(Pattern.Of(60 + (round * 20), (round * 10) + i)));
            }

            bench.Guest.FlushTx();
            for (int i = 0; i < 10; i++)
            {
                byte[] got = bench.Tap.Receive();
                Assert.Equal(Pattern.Of(60 + (round * 20), (round * 10) + i), got[bench.Tap.Queue.HeaderSize..]);
            }

            bench.ReclaimAll();
        }

        Assert.Equal(500, bench.Counters[WorkerCounter.TxFrames]);
    }

    [Theory]
    [MemberData(nameof(WorkerSetups.All), MemberType = typeof(WorkerSetups))]
    public void Frames_of_the_host_reach_the_guest_in_order_and_unchanged(IoEngine engine, VirtioFeatures features)
    {
        var options = new VirtioNetOptions { QueueSize = 64, ReceiveBufferSize = 2048, ReceivePieces = 3 };
        using var bench = new WorkerBench(engine, features, options);
        bench.StartBoth();
        for (int round = 0; round < 60; round++)
        {
            for (int i = 0; i < 5; i++)
            {
                bench.SendToGuest(Pattern.Of(60 + (round * 10), (round * 5) + i));
            }

            for (int i = 0; i < 5; i++)
            {
                (VirtioNetHeader header, byte[] frame) = bench.GuestReceives();
                Assert.Equal(Pattern.Of(60 + (round * 10), (round * 5) + i), frame);
                Assert.True(bench.Tap.Queue.HeaderSize < 12 || header.Buffers == 1);
            }
        }

        Assert.Equal(300, bench.Counters[WorkerCounter.RxFrames]);
    }

    [Theory]
    [MemberData(nameof(WorkerSetups.Mergeable), MemberType = typeof(WorkerSetups))]
    public void Large_frames_span_mergeable_buffers_among_small_ones(IoEngine engine, VirtioFeatures features)
    {
        using var bench = new WorkerBench(engine, features, new VirtioNetOptions { QueueSize = 256, ReceiveBufferSize = 1536 });
        bench.StartBoth();
        int[] lengths = [60, 65550, 1514, 9014, 65550, 65550, 60, 60, 60, 60, 60, 60, 30000, 60, 1524, 1525];
        for (int round = 0; round < 20; round++)
        {
            foreach (int length in lengths)
            {
                bench.SendToGuest(Pattern.Of(length, length + round));
                (VirtioNetHeader header, byte[] frame) = bench.GuestReceives();
                Assert.Equal(Pattern.Of(length, length + round), frame);
                Assert.Equal((length + 12 + 1535) / 1536, header.Buffers);
            }
        }
    }

    [Theory]
    [MemberData(nameof(WorkerSetups.Mergeable), MemberType = typeof(WorkerSetups))]
    public void A_burst_of_mixed_sizes_arrives_in_order(IoEngine engine, VirtioFeatures features)
    {
        using var bench = new WorkerBench(engine, features, new VirtioNetOptions { QueueSize = 256, ReceiveBufferSize = 1536 });
        int[] lengths = [60, 60, 60, 60, 60, 60, 60, 60, 5000, 60, 60, 1514, 20000, 60];
        for (int i = 0; i < lengths.Length; i++)
        {
            bench.SendToGuest(Pattern.Of(lengths[i], i));
        }

        // The worker meets the whole burst at once, with a batch that has grown by the second round.
        bench.StartBoth();
        for (int round = 0; round < 30; round++)
        {
            for (int i = 0; i < lengths.Length; i++)
            {
                Assert.Equal(Pattern.Of(lengths[i], i), bench.GuestReceives().Frame);
            }

            bench.Do(new StopRing(RingSide.Rx));
            for (int i = 0; i < lengths.Length; i++)
            {
                bench.SendToGuest(Pattern.Of(lengths[i], i));
            }

            bench.Start(RingSide.Rx);
        }
    }

    [Fact]
    public void A_large_frame_waits_for_the_guest_to_post_enough_buffers()
    {
        var options = new VirtioNetOptions { QueueSize = 16, ReceiveBufferSize = 1536 };
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern, options, heldFor: Waiting.Limit);
        bench.StartBoth();

        // 16 buffers of 1536 bytes: a frame of 20,000 needs 14; the one before it takes 4 until the guest posts them again.
        bench.SendToGuest(Pattern.Of(6000, 1));
        bench.SendToGuest(Pattern.Of(20000, 2));
        Assert.Equal(Pattern.Of(6000, 1), bench.GuestReceives().Frame);
        Assert.Equal(Pattern.Of(20000, 2), bench.GuestReceives().Frame);
        Assert.Equal(0, bench.Counters[WorkerCounter.RxDropped]);
    }

    [Theory]
    [InlineData(IoEngine.Syscall)]
    [InlineData(IoEngine.IoUring)]
    public void A_frame_that_fits_no_buffer_is_dropped_and_its_buffer_serves_the_next(IoEngine engine)
    {
        var options = new VirtioNetOptions { QueueSize = 4, ReceiveBufferSize = 256 };
        using var bench = new WorkerBench(engine, WorkerSetups.NoMergeable, options);
        bench.StartBoth();
        for (int i = 0; i < 10; i++)
        {
            bench.SendToGuest(Pattern.Of(1000, i));
            bench.SendToGuest(Pattern.Of(100, i));
            Assert.Equal(Pattern.Of(100, i), bench.GuestReceives().Frame);
        }

        Assert.Equal(10, bench.Counters[WorkerCounter.RxDropped]);
    }

    [Fact]
    public void A_worker_without_receive_buffers_sleeps_and_wakes_by_the_kick()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.Start(RingSide.Rx);
        long sleeps = bench.Counters[WorkerCounter.Sleeps];
        bench.SendToGuest(Pattern.Of(60, 1));
        bool starved = SpinWait.SpinUntil(
            () => bench.Counters[WorkerCounter.RxStarved] > 0 && bench.Counters[WorkerCounter.Sleeps] > sleeps, Waiting.Limit);
        Assert.True(starved, $"starved {bench.Counters[WorkerCounter.RxStarved]} times, slept {sleeps} times before");
        bench.Guest.PostAll();
        Assert.Equal(Pattern.Of(60, 1), bench.GuestReceives().Frame);
    }

    [Fact]
    public void A_frame_of_our_own_goes_out_behind_an_empty_header()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.Do(new SendFrame(Pattern.Of(60, 9)));
        byte[] got = bench.Tap.Receive();
        Assert.All(got[..12], value => Assert.Equal(0, value));
        Assert.Equal(Pattern.Of(60, 9), got[12..]);
    }

    [Theory]
    [MemberData(nameof(WorkerSetups.Mergeable), MemberType = typeof(WorkerSetups))]
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
        byte[] frame = Pattern.Of(200, 1);
        for (int i = 0; i < frames; i++)
        {
            bench.SendToGuest(frame);
            bench.GuestReceives();
            Assert.True(bench.Guest.TrySend(frame));
            bench.Guest.FlushTx();
            bench.Tap.Receive();
        }
    }
}
