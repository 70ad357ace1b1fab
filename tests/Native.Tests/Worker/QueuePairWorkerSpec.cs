using System.Net.Sockets;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>What the worker is told of rings and memory, what it reports of them, and how it fails.</summary>
public sealed class QueuePairWorkerSpec
{
    [Fact]
    public void A_disabled_transmit_ring_is_drained_and_nothing_is_sent()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.Start(RingSide.Tx, enabled: false);
        Assert.True(bench.Guest.TrySend(Pattern.Of(60, 1)));
        bench.Guest.FlushTx();
        bench.ReclaimAll();
        Assert.Equal(1, bench.Counters[WorkerCounter.TxDiscarded]);

        bench.Do(new UpdateRing(RingSide.Tx, bench.PlanOf(RingSide.Tx)));
        Assert.True(bench.Guest.TrySend(Pattern.Of(60, 2)));
        bench.Guest.FlushTx();
        Assert.Equal(Pattern.Of(60, 2), bench.Tap.Receive()[12..]);
    }

    [Fact]
    public void A_disabled_receive_ring_gets_nothing_until_it_is_enabled()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.Guest.PostAll();
        bench.Start(RingSide.Rx, enabled: false);
        bench.SendToGuest(Pattern.Of(60, 1));
        bench.Do(new UpdateRing(RingSide.Rx, bench.PlanOf(RingSide.Rx, enabled: false)));
        Assert.False(bench.Guest.TryReceive(out _, out _));
        bench.Do(new UpdateRing(RingSide.Rx, bench.PlanOf(RingSide.Rx)));
        Assert.Equal(Pattern.Of(60, 1), bench.GuestReceives().Frame);
    }

    [Fact]
    public void A_ring_that_stops_and_starts_again_goes_on_where_it_stood()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.StartBoth();
        for (int i = 0; i < 5; i++)
        {
            bench.SendToGuest(Pattern.Of(60, i));
            Assert.Equal(Pattern.Of(60, i), bench.GuestReceives().Frame);
            var stopped = (RingStopped)bench.Do(new StopRing(RingSide.Rx));
            Assert.Equal((uint)(i + 1), stopped.Base);
            bench.Start(RingSide.Rx);
        }

        Assert.Equal(0u, ((RingStopped)bench.Do(new StopRing(RingSide.Tx))).Base);
        Assert.Null(((RingStopped)bench.Do(new StopRing(RingSide.Tx))).Base);
    }

    [Fact]
    public void A_kick_socket_that_is_shut_at_its_other_end_costs_the_ring()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        using (ours)
        using (theirs)
        {
            bench.Do(new StartRing(RingSide.Tx, bench.PlanOf(RingSide.Tx) with { Kick = ours }));
            using var socket = new Socket(new SafeSocketHandle(theirs.Number, ownsHandle: false));
            socket.Shutdown(SocketShutdown.Send);

            Assert.Contains("kick fd is closed", bench.Await<RingBroken>().Reason, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_worker_that_a_front_end_has_wait_to_call_is_freed_and_ends()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        using OwnedFd call = TestFile.FullBlockingEvent();
        bench.Worker.Post(new StartRing(RingSide.Tx, bench.PlanOf(RingSide.Tx) with { Call = call }));
        bench.Worker.Post(new ExitWorker());
        Assert.False(SpinWait.SpinUntil(HasExited, TimeSpan.FromMilliseconds(100)));

        bool exited = SpinWait.SpinUntil(
            () =>
            {
                bench.Worker.Free();
                return HasExited();
            },
            TimeSpan.FromSeconds(20));

        Assert.True(exited);

        bool HasExited() => bench.Worker.State == WorkerState.Exited;
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

        bench.SendToGuest(Pattern.Of(60, 1));
        Assert.Equal(Pattern.Of(60, 1), bench.GuestReceives().Frame);
    }

    [Fact]
    public void A_ring_outside_memory_is_refused_and_the_worker_lives()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.Do(new StartRing(RingSide.Tx, bench.PlanOf(RingSide.Tx) with { DeviceAddress = 16 }));
        Assert.Contains("used ring", bench.Await<RingBroken>().Reason, StringComparison.Ordinal);
        bench.Start(RingSide.Tx);
        Assert.True(bench.Guest.TrySend(Pattern.Of(60, 1)));
        bench.Guest.FlushTx();
        Assert.Equal(Pattern.Of(60, 1), bench.Tap.Receive()[12..]);
    }

    [Theory]
    [MemberData(nameof(WorkerSetups.All), MemberType = typeof(WorkerSetups))]
    public void A_failed_worker_tells_where_its_rings_stood_and_its_successor_goes_on(IoEngine engine, VirtioFeatures features)
    {
        using var bench = new WorkerBench(engine, features, new VirtioNetOptions { QueueSize = 64, ReceiveBufferSize = 2048 });
        bench.StartBoth();
        bench.SendToGuest(Pattern.Of(60, 0));
        Assert.Equal(Pattern.Of(60, 0), bench.GuestReceives().Frame);
        bench.Worker.Post(new InjectFault("test"));
        WorkerExited exited = bench.Await<WorkerExited>();
        Assert.IsType<InjectedFaultException>(exited.Cause);
        uint start = features.HasFlag(VirtioFeatures.RingPacked) ? 0x8000_8000 : 0;
        uint step = features.HasFlag(VirtioFeatures.RingPacked) ? 0x0001_0001u : 1;
        Assert.Equal(start + step, exited.RxBase);
        Assert.Equal(start, exited.TxBase);
        Assert.Equal(WorkerState.Failed, bench.Worker.State);

        bench.SendToGuest(Pattern.Of(61, 1));
        Assert.True(bench.Guest.TrySend(Pattern.Of(62, 2)));
        bench.Guest.FlushTx();
        bench.Restart();
        bench.Start(RingSide.Rx);
        bench.Start(RingSide.Tx);
        Assert.Equal(Pattern.Of(61, 1), bench.GuestReceives().Frame);
        Assert.Equal(Pattern.Of(62, 2), bench.Tap.Receive()[bench.Tap.Queue.HeaderSize..]);
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
    public void Memory_is_replaced_under_running_rings_and_the_old_table_is_let_go()
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern);
        bench.StartBoth();
        for (int i = 0; i < 20; i++)
        {
            GuestMemory again = GuestMemory.Map([.. bench.Ram.Regions.Select((region, n) => (region, bench.Ram.FileOf(n)))]);
            bench.Do(new ReplaceMemory(again));
            again.Release();
            bench.SendToGuest(Pattern.Of(60, i));
            Assert.Equal(Pattern.Of(60, i), bench.GuestReceives().Frame);
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
}
