using Ringmaster.Actors.Device;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>The log of live migration on its way to the workers, and back to nobody.</summary>
public sealed class MigrationSpec : DeviceTest
{
    private const ProtocolFeatures Protocol = TestDevices.ProtocolFeatures | ProtocolFeatures.LogShmfd;
    private const VirtioFeatures Features = TestDevices.Features | VirtioFeatures.LogAll;

    [Fact]
    public async Task SET_LOG_BASE_is_answered_when_every_worker_has_let_go_of_the_last_log()
    {
        FrontEnd frontEnd = await BringUpAsync();
        FakeWorker[] workers = [Workers.Latest(0)!, Workers.Latest(1)!];
        Assert.Equal(0UL, await SetLogAsync(frontEnd));
        DirtyLog first = LogOf(workers[0])!;
        foreach (FakeWorker worker in workers)
        {
            worker.Holds = true;
        }

        Task<ulong> second = SetLogAsync(frontEnd);
        await AwaitAssertAsync(() => Assert.All(workers, worker => Assert.Equal(1, worker.Unanswered)));
        workers[0].Answer();
        await PairsHavePassedOnAsync();
        Assert.False(second.IsCompleted);
        workers[1].Answer();

        Assert.Equal(0UL, await second);
        Assert.NotSame(first, LogOf(workers[0]));
        Assert.Same(LogOf(workers[0]), LogOf(workers[1]));
        Assert.Throws<ObjectDisposedException>(first.Retain);
    }

    [Fact]
    public async Task A_log_that_is_larger_than_its_file_is_refused_and_the_last_one_stays()
    {
        FrontEnd frontEnd = await BringUpAsync();
        FakeWorker worker = Workers.Latest(0)!;
        Assert.Equal(0UL, await SetLogAsync(frontEnd));
        int told = worker.Commands.Count;

        Assert.NotEqual(0UL, await SetLogAsync(frontEnd, size: 4097));
        Assert.NotEqual(0UL, await SetLogAsync(frontEnd, size: 1, offset: 4096));
        Assert.NotEqual(0UL, await SetLogAsync(frontEnd, size: ulong.MaxValue, offset: 2));
        Assert.NotEqual(0UL, await SetLogAsync(frontEnd, size: 0));

        Assert.Equal(told, worker.Commands.Count);
        LogOf(worker)!.Retain();
        LogOf(worker)!.Release();
    }

    [Fact]
    public async Task A_front_end_that_asks_for_no_acknowledgement_is_cut_off_when_its_log_cannot_be_taken_over()
    {
        FrontEnd frontEnd = await BringUpAsync();
        using OwnedFd file = FrontEnd.TempFile(4096);
        frontEnd.Send(RequestCode.SetLogBase, new LogPayload(4097, 0).ToBytes(), file);

        await frontEnd.ClosedAsync();

        await StatusIsAsync(status => Assert.Equal((DevicePhase.Listening, 0), (status.Phase, status.MemoryRegions)));
        await Connect().BringUpAsync();
    }

    [Fact]
    public async Task LOG_ALL_and_the_log_of_a_ring_reach_the_workers_without_a_stop()
    {
        FrontEnd frontEnd = await BringUpAsync();
        FakeWorker worker = Workers.Latest(0)!;
        int told = worker.Commands.Count;

        Assert.Equal(0UL, await SetLogAsync(frontEnd));
        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.SetFeatures, FrontEnd.U64((ulong)Features)));
        RingPlan plan = worker.Ring(RingSide.Rx)!;
        var addresses = new VringAddresses(
            0, VringAddresses.LogFlag, plan.DescriptorAddress, plan.DeviceAddress, plan.DriverAddress, 0x1000_1000);
        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.SetVringAddr, addresses.ToBytes()));

        Assert.Equal(
            [typeof(SetLog), typeof(UpdateRing), typeof(UpdateRing), typeof(UpdateRing)],
            worker.Commands.Skip(told).Select(command => command.GetType()));
        RingPlan logged = worker.Ring(RingSide.Rx)!;
        Assert.Equal((0x1000_1000UL, true), (logged.LogUsed, logged.Features.HasFlag(VirtioFeatures.LogAll)));
    }

    [Fact]
    public async Task A_worker_that_was_restarted_is_told_the_log_before_its_rings()
    {
        FrontEnd frontEnd = await BringUpAsync();
        using var call = new EventFd();
        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.SetLogFd, null, call.Fd));
        Assert.Equal(0UL, await SetLogAsync(frontEnd));
        Workers.Latest(0)!.Die("for the test");

        FakeWorker restarted = await WorkerAsync(0, generation: 2);
        await RunsAsync(restarted, RingSide.Rx, RingSide.Tx);

        List<WorkerCommand> commands = [.. restarted.Commands];
        Assert.Same(LogOf(Workers.Latest(1)!), LogOf(restarted));
        Assert.NotNull(commands.OfType<SetLog>().Single().Call);
        Assert.True(commands.FindIndex(each => each is SetLog) < commands.FindIndex(each => each is StartRing));
    }

    [Fact]
    public async Task The_log_goes_with_its_front_end()
    {
        FrontEnd frontEnd = await BringUpAsync();
        Assert.Equal(0UL, await SetLogAsync(frontEnd));
        DirtyLog log = LogOf(Workers.Latest(0)!)!;

        frontEnd.Dispose();

        await StatusIsAsync(status => Assert.Equal(DevicePhase.Listening, status.Phase));
        Assert.All(Workers.All, worker => Assert.Null(LogOf(worker)));
        Assert.Throws<ObjectDisposedException>(log.Retain);
    }

    private static DirtyLog? LogOf(FakeWorker worker) => worker.Commands.OfType<SetLog>().Last().Log;

    private static async Task<ulong> SetLogAsync(FrontEnd frontEnd, ulong size = 4096, ulong offset = 0)
    {
        using OwnedFd file = FrontEnd.TempFile(4096);
        return await frontEnd.DoAsync(RequestCode.SetLogBase, new LogPayload(size, offset).ToBytes(), file);
    }

    private async Task<FrontEnd> BringUpAsync()
    {
        StartDevice(change: device => device with { Features = Features, ProtocolFeatures = Protocol });
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync(TestDevices.Features, Protocol);
        Assert.Equal(0UL, await frontEnd.ShareMemoryAsync());
        for (int ring = 0; ring < 4; ring++)
        {
            await frontEnd.StartRingAsync(ring);
        }

        return frontEnd;
    }
}
