using Akka.Actor;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>The life of a device while nothing fails.</summary>
public sealed class DeviceSupervisorSpec : DeviceTest
{
    [Fact]
    public async Task A_device_comes_up_with_a_worker_for_each_pair_and_listens()
    {
        StartDevice(pairs: 3);
        await StatusIsAsync(status =>
        {
            Assert.Equal(DevicePhase.Listening, status.Phase);
            Assert.Equal([0, 1, 2], status.Pairs.Select(pair => pair.Pair));
            Assert.All(status.Pairs, pair => Assert.Equal(PairHealth.Running, pair.Health));
        });
        Assert.True(File.Exists(Socket));
    }

    [Fact]
    public async Task A_device_that_cannot_be_opened_says_why_and_tries_again()
    {
        Host.FailingOpens = 2;
        CreateDevice();
        Parent.ExpectMsg<DeviceFailed>(failed => failed.Reason == "no such interface");
        Assert.Equal(DevicePhase.Failed, (await StatusAsync()).Phase);

        Pass(TestDevices.Restart.MinBackoff);
        Parent.ExpectMsg<DeviceFailed>();
        await StatusIsAsync(status => Assert.Equal(DevicePhase.Failed, status.Phase));
        Pass(2 * TestDevices.Restart.MinBackoff);
        Parent.ExpectMsg<DeviceUp>();
        Assert.Null((await StatusAsync()).Error);
    }

    [Fact]
    public void An_interface_that_a_killed_process_has_not_let_go_of_yet_is_waited_for()
    {
        Host.FailingOpens = 3;
        Host.OpenFailure = new LinuxException("open TAP net0", Errno.EBUSY);
        CreateDevice();

        LetTimePassUntilParentIsTold();
        Parent.ExpectMsg<DeviceUp>();
    }

    [Fact]
    public void An_interface_that_stays_busy_is_a_failure()
    {
        Host.FailingOpens = int.MaxValue;
        Host.OpenFailure = new LinuxException("open TAP net0", Errno.EBUSY);
        CreateDevice();

        LetTimePassUntilParentIsTold();
        Assert.Contains("EBUSY", Parent.ExpectMsg<DeviceFailed>().Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_socket_that_cannot_be_bound_is_a_failure_that_leaves_nothing_open()
    {
        using var other = UnixListener.Bind(Socket);
        CreateDevice();
        Assert.Contains("EADDRINUSE", Parent.ExpectMsg<DeviceFailed>().Reason, StringComparison.Ordinal);
        Assert.Equal(1, Host.Disposed);
        Assert.Empty(await WorkersAsync());
    }

    [Fact]
    public async Task A_front_end_starts_rings_and_their_workers_get_memory_before_plans()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();

        foreach (FakeWorker worker in Workers.All)
        {
            RingPlan rx = worker.Ring(RingSide.Rx)!;
            Assert.True(rx.Enabled);
            Assert.Equal(64, rx.Size);
            Assert.Equal(TestDevices.Features, rx.Features);
            Assert.NotNull(worker.Ring(RingSide.Tx));
            Assert.Single(Assert.IsType<ReplaceMemory>(worker.Commands[0]).Memory.Regions);
        }

        DeviceSnapshot status = await StatusAsync();
        Assert.Equal((DevicePhase.Serving, 1), (status.Phase, status.MemoryRegions));
        Assert.All(status.Pairs, pair => Assert.Equal((RingActivity.Running, RingActivity.Running), (pair.Rx, pair.Tx)));
    }

    [Fact]
    public async Task The_host_side_follows_what_the_guest_acknowledged_and_which_pairs_are_enabled()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync();
        await frontEnd.ShareMemoryAsync();
        Assert.Equal(TestDevices.Features, Host.Latest.Features);
        Assert.Empty(Host.Latest.ActivePairs);

        await frontEnd.StartRingAsync(2, enable: false);
        Assert.Empty(Host.Latest.ActivePairs);
        await Enable(frontEnd, ring: 2, on: true);
        Assert.Equal([1], Host.Latest.ActivePairs.ToArray());
        await Enable(frontEnd, ring: 2, on: false);
        Assert.Empty(Host.Latest.ActivePairs);
        await frontEnd.DoAsync(RequestCode.NetSetMtu, FrontEnd.U64(9000));
        Assert.Equal(9000, Host.Latest.Mtu);
    }

    [Fact]
    public async Task A_host_side_that_refuses_makes_the_message_refused_and_the_session_lives_on()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync();
        Host.RefusesChanges = "EINVAL";
        Assert.NotEqual(0UL, await frontEnd.DoAsync(RequestCode.NetSetMtu, FrontEnd.U64(9000)));
        Host.RefusesChanges = null;
        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.NetSetMtu, FrontEnd.U64(8000)));
        Assert.Equal((8000, TestDevices.Features), (Host.Latest.Mtu, Host.Latest.Features));
    }

    [Fact]
    public async Task Memory_that_cannot_be_mapped_is_refused_and_the_old_table_stays()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        int told = Workers.Latest(0)!.Commands.Count;

        using OwnedFd tooSmall = FrontEnd.TempFile(4096);
        byte[] table = MemTable.ToBytes([new MemoryRegionLayout(0, 1 << 20, FrontEnd.UserBase, 0)]);
        Assert.NotEqual(0UL, await frontEnd.DoAsync(RequestCode.SetMemTable, table, tooSmall));
        Assert.Equal(told, Workers.Latest(0)!.Commands.Count);
        Assert.Equal(1, (await StatusAsync()).MemoryRegions);
    }

    [Fact]
    public async Task The_reply_to_GET_VRING_BASE_waits_for_the_worker_and_carries_its_word()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker worker = Workers.Latest(1)!;
        worker.Bases[(int)RingSide.Tx] = 4711;
        worker.Holds = true;

        Task<uint> reply = frontEnd.StopRingAsync(3);
        await AwaitAssertAsync(() => Assert.Equal(1, worker.Unanswered));
        Assert.False(reply.IsCompleted);
        worker.Answer();
        Assert.Equal(4711u, await reply);
    }

    [Fact]
    public async Task A_new_memory_table_is_acknowledged_only_when_every_worker_has_let_go_of_the_old_one()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker first = Workers.Latest(0)!;
        FakeWorker second = Workers.Latest(1)!;
        first.Holds = second.Holds = true;

        Task<ulong> reply = frontEnd.ShareMemoryAsync();
        await AwaitAssertAsync(() => Assert.Equal((1, 1), (first.Unanswered, second.Unanswered)));
        first.Answer();
        await StatusAsync();
        Assert.False(reply.IsCompleted);
        second.Answer();
        Assert.Equal(0UL, await reply);
    }

    [Fact]
    public async Task What_a_front_end_sends_meanwhile_is_not_read_before_the_reply()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker worker = Workers.Latest(0)!;
        worker.Holds = true;

        Task<byte[]> stop = frontEnd.AskAsync(RequestCode.GetVringBase, new VringState(0, 0).ToBytes());
        frontEnd.Send(RequestCode.SetVringEnable, new VringState(1, 0).ToBytes());
        await AwaitAssertAsync(() => Assert.Equal(1, worker.Unanswered));
        await StatusAsync();
        Assert.Equal(1, worker.Unanswered);
        worker.Answer();
        await stop;
        await frontEnd.SyncAsync();
        Assert.IsType<UpdateRing>(worker.Commands[^1]);
        Assert.False(worker.Ring(RingSide.Tx)!.Enabled);
    }

    [Fact]
    public async Task A_second_front_end_waits_until_the_first_has_gone()
    {
        StartDevice();
        FrontEnd first = Connect();
        await first.NegotiateAsync();
        FrontEnd second = Connect();
        Task<byte[]> answer = second.AskAsync(RequestCode.GetFeatures);
        await first.SyncAsync();
        Assert.False(answer.IsCompleted);
        Assert.Equal(1, (await StatusAsync()).Sessions);

        first.Dispose();
        await answer;
        Assert.Equal(2, (await StatusAsync()).Sessions);
    }

    [Fact]
    public async Task When_the_front_end_has_gone_rings_stop_memory_goes_and_the_host_side_stays()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        frontEnd.Dispose();

        await StatusIsAsync(status => Assert.Equal((DevicePhase.Listening, 0), (status.Phase, status.MemoryRegions)));
        Assert.Equal(DeviceDemand.None, Host.Latest);
        Assert.Equal((1, 0), (Host.Opened, Host.Disposed));
        foreach (FakeWorker worker in Workers.All)
        {
            Assert.Null(worker.Ring(RingSide.Rx));
            Assert.Null(worker.Ring(RingSide.Tx));
            Assert.Same(GuestMemory.Empty, worker.Commands.OfType<ReplaceMemory>().Last().Memory);
        }
    }

    [Fact]
    public async Task A_front_end_that_breaks_the_protocol_is_cut_off_and_the_next_one_served()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        frontEnd.Send(RequestCode.GetFeatures, new byte[5000]);
        await frontEnd.ClosedAsync();
        await Connect().BringUpAsync();
    }

    [Fact]
    public async Task A_request_that_is_not_known_is_refused_and_the_session_lives_on()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync();
        Assert.NotEqual(0UL, await frontEnd.DoAsync((RequestCode)999));
        await frontEnd.SyncAsync();
    }

    [Fact]
    public async Task An_announcement_goes_out_through_a_worker()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync();
        await frontEnd.DoAsync(RequestCode.SendRarp, [0x52, 0x54, 0, 1, 2, 3, 0, 0]);
        var sent = Assert.IsType<SendFrame>(Assert.Single(Workers.Latest(0)!.Commands));
        Assert.Equal([0x52, 0x54, 0, 1, 2, 3], sent.Frame.ToArray());
    }

    [Fact]
    public async Task A_ring_that_its_worker_gives_up_runs_again_when_the_front_end_starts_it()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker worker = Workers.Latest(0)!;
        worker.Bases[(int)RingSide.Tx] = 5;
        worker.Break(RingSide.Tx, "the available index is 900 ahead");
        await StatusIsAsync(status =>
        {
            Assert.Equal(RingActivity.Broken, status.Pairs[0].Tx);
            Assert.Equal(RingActivity.Running, status.Pairs[0].Rx);
            Assert.True(status.Status.HasFlag(DeviceStatus.NeedsReset));
        });

        await Enable(frontEnd, ring: 1, on: true);
        Assert.Null(worker.Ring(RingSide.Tx));
        await frontEnd.KickAsync(1);
        Assert.Equal(5u, worker.Ring(RingSide.Tx)!.Base);
        Assert.Equal(RingActivity.Running, (await StatusAsync()).Pairs[0].Tx);
    }

    [Fact]
    public async Task A_reset_stops_all_rings_and_they_begin_anew()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker worker = Workers.Latest(0)!;
        worker.Bases[(int)RingSide.Rx] = 77;
        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.ResetDevice));
        Assert.All(Workers.All, each => Assert.Null(each.Ring(RingSide.Rx)));
        Assert.Equal(77u, await frontEnd.StopRingAsync(0));
        await frontEnd.NegotiateAsync();
        await frontEnd.KickAsync(0);
        Assert.Null(worker.Ring(RingSide.Rx));
        await frontEnd.StartRingAsync(0);
        Assert.Equal(0u, worker.Ring(RingSide.Rx)!.Base);
    }

    [Fact]
    public async Task GetWorkers_gives_a_handle_on_each_worker_and_a_way_onto_its_loop()
    {
        StartDevice();
        using var fd = new EventFd();
        IReadOnlyList<WorkerHandle> handles = await WorkersAsync();
        Assert.Equal(["net0/pair-0", "net0/pair-1"], handles.Select(handle => handle.Name));
        Assert.All(handles, handle => Assert.Equal((1L, WorkerState.Running), (handle.Generation, handle.State)));

        bool called = false;
        Assert.True(handles[1].Watch(fd.Fd, () => called = true));
        var watch = Assert.IsType<WatchFd>(Assert.Single(Workers.Latest(1)!.Commands));
        Assert.Same(fd.Fd, watch.Fd);
        watch.OnReadable();
        Assert.True(called);
        Assert.True(handles[1].Unwatch(fd.Fd));
        Assert.Empty(Workers.Latest(0)!.Commands);
    }

    [Fact]
    public async Task A_handle_on_a_worker_that_has_ended_says_so()
    {
        StartDevice();
        WorkerHandle handle = (await WorkersAsync())[0];
        Workers.Latest(0)!.Die("it broke");
        using var fd = new EventFd();
        Assert.False(handle.Watch(fd.Fd, () => { }));
        Assert.Equal(WorkerState.Failed, handle.State);
    }

    [Fact]
    public async Task A_device_that_is_stopped_ends_its_workers_and_removes_its_socket()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        Watch(Device);
        Device.Tell(StopDevice.Instance, TestActor);

        ExpectTerminated(Device);
        await frontEnd.ClosedAsync();
        Assert.All(Workers.All, worker => Assert.Equal(WorkerState.Exited, worker.State));
        Assert.Equal(1, Host.Disposed);
        Assert.False(File.Exists(Socket));
    }

    [Fact]
    public async Task A_device_whose_worker_hangs_stops_all_the_same()
    {
        StartDevice();
        Workers.Latest(0)!.Hangs = true;
        Watch(Device);
        Device.Tell(StopDevice.Instance, TestActor);
        await AwaitAssertAsync(() => Assert.Equal(WorkerState.Exited, Workers.Latest(1)!.State));
        await StatusAsync();
        Pass(TimeSpan.FromSeconds(1));
        ExpectTerminated(Device);
        Assert.Equal(1, Host.Disposed);
    }

    [Fact]
    public async Task A_device_that_is_stopped_while_it_opens_closes_what_it_gets()
    {
        Host.Gate.Reset();
        CreateDevice();
        await AwaitAssertAsync(() => Assert.Equal(1, Host.Waiting));
        Watch(Device);
        Device.Tell(StopDevice.Instance, TestActor);
        Assert.Equal(DevicePhase.Stopping, (await StatusAsync()).Phase);
        Host.Gate.Set();
        ExpectTerminated(Device);
        Assert.Equal((1, 1), (Host.Opened, Host.Disposed));
        Assert.False(File.Exists(Socket));
        Assert.Empty(Workers.All);
    }

    [Fact]
    public async Task A_host_side_that_blocks_keeps_the_reply_waiting_and_nobody_else()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        Host.Gate.Reset();
        Task<ulong> reply = frontEnd.DoAsync(RequestCode.NetSetMtu, FrontEnd.U64(9000));
        await AwaitAssertAsync(() => Assert.Equal(1, Host.Waiting));
        Assert.Equal(DevicePhase.Serving, (await StatusAsync()).Phase);

        Workers.Latest(1)!.Die("it broke");
        await RunsAsync(await WorkerAsync(1, generation: 2), RingSide.Rx, RingSide.Tx);
        Assert.False(reply.IsCompleted);
        Host.Gate.Set();
        Assert.Equal(0UL, await reply);
    }

    [Fact]
    public async Task What_a_worker_reports_while_a_message_is_prepared_is_not_lost()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker worker = Workers.Latest(0)!;
        worker.Bases[(int)RingSide.Rx] = 31;
        Host.Gate.Reset();
        Task<ulong> reply = frontEnd.DoAsync(RequestCode.NetSetMtu, FrontEnd.U64(9000));
        await AwaitAssertAsync(() => Assert.Equal(1, Host.Waiting));
        worker.Break(RingSide.Rx, "its addresses are wrong");
        await StatusIsAsync(status => Assert.Equal(RingActivity.Broken, status.Pairs[0].Rx));
        Host.Gate.Set();
        Assert.Equal(0UL, await reply);

        Assert.Equal(31u, await frontEnd.StopRingAsync(0));
        Assert.True((await StatusAsync()).Status.HasFlag(DeviceStatus.NeedsReset));
    }

    [Fact]
    public async Task A_device_that_is_stopped_while_a_message_is_prepared_releases_what_came_of_it()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        Host.Gate.Reset();
        frontEnd.Send(RequestCode.NetSetMtu, FrontEnd.U64(9000));
        await AwaitAssertAsync(() => Assert.Equal(1, Host.Waiting));
        Watch(Device);
        Device.Tell(StopDevice.Instance, TestActor);
        await frontEnd.ClosedAsync();
        Host.Gate.Set();
        ExpectTerminated(Device);
        Assert.Equal(1, Host.Disposed);
    }

    [Fact]
    public async Task Frames_are_not_steered_to_a_receive_ring_that_was_given_up()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        Workers.Latest(0)!.Break(RingSide.Rx, "its addresses are wrong");
        await AwaitAssertAsync(() => Assert.Equal([1], Host.Latest.ActivePairs.ToArray()));
        await frontEnd.KickAsync(0);

        // Before the answer: a front-end that has it may send frames at once.
        Assert.Equal([0, 1], Host.Latest.ActivePairs.ToArray());
    }

    [Fact]
    public async Task Regions_are_added_and_removed_while_rings_run()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker worker = Workers.Latest(0)!;
        using OwnedFd file = FrontEnd.TempFile(1 << 16);
        byte[] region = new SingleMemoryRegion(new MemoryRegionLayout(1 << 30, 1 << 16, 1 << 30, 0)).ToBytes();

        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.AddMemReg, region, file));
        Assert.Equal(2, Assert.IsType<ReplaceMemory>(worker.Commands[^1]).Memory.Regions.Count);
        byte[] overlapping = new SingleMemoryRegion(new MemoryRegionLayout((1 << 30) + 4096, 4096, 1 << 20, 0)).ToBytes();
        Assert.NotEqual(0UL, await frontEnd.DoAsync(RequestCode.AddMemReg, overlapping, file));

        worker.Holds = true;
        Task<ulong> removal = frontEnd.DoAsync(RequestCode.RemMemReg, region);
        await AwaitAssertAsync(() => Assert.Equal(1, worker.Unanswered));
        await StatusAsync();
        Assert.False(removal.IsCompleted);
        worker.Answer();
        Assert.Equal(0UL, await removal);
        Assert.Single(Assert.IsType<ReplaceMemory>(worker.Commands[^1]).Memory.Regions);
        Assert.NotNull(worker.Ring(RingSide.Rx));
    }

    [Fact]
    public async Task A_front_end_cannot_fill_the_log_with_refusals()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync();
        await EventFilter.Warning(contains: "refused").ExpectAsync(20, async () =>
        {
            for (int i = 0; i < 50; i++)
            {
                await frontEnd.DoAsync((RequestCode)999);
            }
        });
    }

    private static Task<ulong> Enable(FrontEnd frontEnd, uint ring, bool on) =>
        frontEnd.DoAsync(RequestCode.SetVringEnable, new VringState(ring, on ? 1u : 0).ToBytes());

    private async Task<IReadOnlyList<WorkerHandle>> WorkersAsync() =>
        (await Device.Ask<WorkerList>(GetWorkers.Instance, TimeSpan.FromSeconds(10))).Workers;

    private void LetTimePassUntilParentIsTold() => AwaitAssert(
        () =>
        {
            Pass(TimeSpan.FromMilliseconds(100));
            Assert.True(Parent.HasMessages);
        },
        TimeSpan.FromSeconds(20),
        TimeSpan.FromMilliseconds(5));
}
