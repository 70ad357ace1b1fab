using Ringmaster.Actors.Device;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>The in-flight region on its way to the workers, and back to nobody.</summary>
public sealed class InflightSpec : DeviceTest
{
    private const ProtocolFeatures Protocol = TestDevices.ProtocolFeatures | ProtocolFeatures.InflightShmfd;
    private const ushort Queues = 4;
    private const ushort QueueSize = 64;

    private static readonly ulong Size = InflightRegion.SizeOf(Queues, QueueSize, packed: false);

    [Fact]
    public async Task A_region_that_was_made_reaches_every_worker()
    {
        FrontEnd frontEnd = await NegotiateAsync();

        byte[] reply = await frontEnd.AskAsync(
            RequestCode.GetInflightFd, new InflightPayload(0, 0, Queues, QueueSize).ToBytes());

        Assert.Equal(new InflightPayload(Size, 0, Queues, QueueSize).ToBytes(), reply);
        InflightRegion region = RegionOf(Workers.Latest(0)!)!;
        Assert.Equal((Size, Queues, QueueSize), (region.Size, region.Queues, region.QueueSize));
        Assert.Same(region, RegionOf(Workers.Latest(1)!));
    }

    [Fact]
    public async Task SET_INFLIGHT_FD_is_answered_when_every_worker_has_let_go_of_the_last_region()
    {
        FrontEnd frontEnd = await NegotiateAsync();
        Assert.Equal(0UL, await SetAsync(frontEnd));
        FakeWorker worker = Workers.Latest(0)!;
        InflightRegion first = RegionOf(worker)!;
        worker.Holds = true;

        Task<ulong> second = SetAsync(frontEnd);
        await AwaitAssertAsync(() => Assert.Equal(1, worker.Unanswered));
        await PairsHavePassedOnAsync();
        Assert.False(second.IsCompleted);
        worker.Answer();

        Assert.Equal(0UL, await second);
        Assert.NotSame(first, RegionOf(worker));
        Assert.Throws<ObjectDisposedException>(first.Retain);
    }

    [Fact]
    public async Task A_region_that_its_file_does_not_hold_is_refused_and_the_last_one_stays()
    {
        FrontEnd frontEnd = await NegotiateAsync();
        Assert.Equal(0UL, await SetAsync(frontEnd));
        InflightRegion region = RegionOf(Workers.Latest(0)!)!;

        Assert.NotEqual(0UL, await SetAsync(frontEnd, fileSize: (long)Size - 1));
        Assert.NotEqual(0UL, await SetAsync(frontEnd, offset: 64));
        Assert.NotEqual(0UL, await SetAsync(frontEnd, offset: 8, fileSize: 1 << 20));
        Assert.NotEqual(0UL, await SetAsync(frontEnd, offset: ulong.MaxValue - 63));

        Assert.Same(region, RegionOf(Workers.Latest(0)!));
        region.Retain();
        region.Release();
    }

    [Fact]
    public async Task A_worker_that_was_restarted_is_told_the_region_before_its_rings()
    {
        FrontEnd frontEnd = await NegotiateAsync();
        Assert.Equal(0UL, await frontEnd.ShareMemoryAsync());
        Assert.Equal(0UL, await SetAsync(frontEnd));
        await frontEnd.StartRingAsync(0);
        Workers.Latest(0)!.Die("for the test");

        FakeWorker restarted = await WorkerAsync(0, generation: 2);
        await RunsAsync(restarted, RingSide.Rx);

        List<WorkerCommand> commands = [.. restarted.Commands];
        Assert.Same(RegionOf(Workers.Latest(1)!), RegionOf(restarted));
        Assert.True(commands.FindIndex(each => each is SetInflight) < commands.FindIndex(each => each is StartRing));
    }

    [Fact]
    public async Task The_region_goes_with_a_reset_and_with_its_front_end()
    {
        FrontEnd frontEnd = await NegotiateAsync();
        Assert.Equal(0UL, await SetAsync(frontEnd));
        InflightRegion first = RegionOf(Workers.Latest(0)!)!;
        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.ResetDevice));
        Assert.Null(RegionOf(Workers.Latest(0)!));
        Assert.Throws<ObjectDisposedException>(first.Retain);
        Assert.Equal(0UL, await SetAsync(frontEnd));
        InflightRegion second = RegionOf(Workers.Latest(0)!)!;

        frontEnd.Dispose();

        await StatusIsAsync(status => Assert.Equal(DevicePhase.Listening, status.Phase));
        Assert.All(Workers.All, worker => Assert.Null(RegionOf(worker)));
        Assert.Throws<ObjectDisposedException>(second.Retain);
    }

    private static InflightRegion? RegionOf(FakeWorker worker) => worker.Commands.OfType<SetInflight>().Last().Region;

    private static async Task<ulong> SetAsync(FrontEnd frontEnd, ulong offset = 0, long? fileSize = null)
    {
        using OwnedFd file = FrontEnd.TempFile(fileSize ?? (long)Size);
        byte[] payload = new InflightPayload(Size, offset, Queues, QueueSize).ToBytes();
        return await frontEnd.DoAsync(RequestCode.SetInflightFd, payload, file);
    }

    private async Task<FrontEnd> NegotiateAsync()
    {
        StartDevice(change: device => device with { ProtocolFeatures = Protocol });
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync(TestDevices.Features, Protocol);
        return frontEnd;
    }
}
