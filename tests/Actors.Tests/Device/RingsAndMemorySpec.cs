using Ringmaster.Actors.Device;
using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>Rings and memory on their way to the workers, and the replies that wait for them.</summary>
public sealed class RingsAndMemorySpec : DeviceTest
{
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

        await frontEnd.EnableRingAsync(1, on: true);
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
        await PairsHavePassedOnAsync();
        Assert.False(reply.IsCompleted);
        second.Answer();
        Assert.Equal(0UL, await reply);
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
        await PairsHavePassedOnAsync();
        Assert.False(removal.IsCompleted);
        worker.Answer();
        Assert.Equal(0UL, await removal);
        Assert.Single(Assert.IsType<ReplaceMemory>(worker.Commands[^1]).Memory.Regions);
        Assert.NotNull(worker.Ring(RingSide.Rx));
    }
}
