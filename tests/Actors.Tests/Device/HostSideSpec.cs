using Ringmaster.Actors.Device;
using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>What the host's side is told of a session, and what waits for it.</summary>
public sealed class HostSideSpec : DeviceTest
{
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
        await frontEnd.EnableRingAsync(2, on: true);
        Assert.Equal([1], Host.Latest.ActivePairs.ToArray());
        await frontEnd.EnableRingAsync(2, on: false);
        await AwaitAssertAsync(() => Assert.Empty(Host.Latest.ActivePairs));
        await frontEnd.DoAsync(RequestCode.NetSetMtu, FrontEnd.U64(9000));
        Assert.Equal(9000, Host.Latest.Mtu);
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

    /// <summary>The front-end takes its rings for stopped in any case, and its guest goes on with their memory.</summary>
    [Fact]
    public async Task What_stops_rings_is_done_whatever_the_host_side_says()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        Host.RefusesChanges = "EINVAL";

        await frontEnd.StopRingAsync(0);
        Assert.Equal(0UL, await frontEnd.EnableRingAsync(2, on: false));
        await frontEnd.DoAsync(RequestCode.ResetDevice);

        for (int pair = 0; pair < 2; pair++)
        {
            FakeWorker worker = Workers.Latest(pair)!;
            Assert.Equal((null, null), (worker.Ring(RingSide.Rx), worker.Ring(RingSide.Tx)));
        }

        await frontEnd.SyncAsync();
    }

    [Theory]
    [InlineData(RequestCode.ResetOwner)]
    [InlineData(RequestCode.SetMemTable)]
    public async Task So_is_what_stops_rings_by_the_way(RequestCode request)
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        Host.RefusesChanges = "EINVAL";

        // A page is too little memory for any ring.
        Assert.Equal(
            0UL,
            request == RequestCode.SetMemTable ? await frontEnd.ShareMemoryAsync(4096) : await frontEnd.DoAsync(request));

        Assert.All((await StatusAsync()).Pairs, pair => Assert.NotEqual(RingActivity.Running, pair.Rx));
        Host.RefusesChanges = null;
        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.NetSetMtu, FrontEnd.U64(8000)));
        Assert.Empty(Host.Latest.ActivePairs);
    }

    [Fact]
    public async Task Features_that_the_host_side_refuses_leave_FEATURES_OK_unset()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync();
        Host.RefusesChanges = "EINVAL";
        Assert.NotEqual(
            0UL, await frontEnd.DoAsync(RequestCode.SetFeatures, FrontEnd.U64((ulong)VirtioFeatures.Version1)));

        await frontEnd.DoAsync(RequestCode.SetStatus, FrontEnd.U64((ulong)DeviceStatus.FeaturesOk));

        ulong status = BitConverter.ToUInt64(await frontEnd.AskAsync(RequestCode.GetStatus));
        Assert.False(((DeviceStatus)status).HasFlag(DeviceStatus.FeaturesOk));
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
}
