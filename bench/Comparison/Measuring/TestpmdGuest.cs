namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>DPDK's virtio-user as the guest. It polls, and wants no calls.</summary>
internal sealed class TestpmdGuest : IGuest
{
    internal const string DriverName = "dpdk";
    private const int QueueSize = 1024;

    private readonly IBackend _backend;
    private readonly TestpmdFrontEnd _testpmd;
    private readonly Durations _durations;

    private TestpmdGuest(IBackend backend, TestpmdFrontEnd testpmd, Durations durations)
    {
        _backend = backend;
        _testpmd = testpmd;
        _durations = durations;
    }

    internal static async Task<IGuest> ConnectAsync(IBackend backend, Durations durations)
    {
        TestpmdOptions options = new(Queues: 1, Mergeable: true, QueueSize);
        return new TestpmdGuest(backend, await TestpmdFrontEnd.StartAsync(backend, options), durations);
    }

    public async Task<Sample> MeasureAsync(Workload workload, Sample empty, CancellationToken cancellation)
    {
        bool sends = workload.Direction == Direction.GuestToTap;
        await _testpmd.SetPacketSizeAsync(workload.FrameSize);
        TestpmdCounters before = await _testpmd.CountersAsync();
        Meter start = Read();
        await _testpmd.StartForwardingAsync(sends ? "txonly" : "rxonly");
        Sample sample;
        using (sends ? null : FrameGenerator.Start(_backend.Namespace, _backend.Tap, workload, Contenders.Cpus.Driver))
        {
            await Meter.MovingAsync(_backend.Namespace, _backend.Tap, workload.Direction, cancellation);
            await Task.Delay(_durations.WarmUp, cancellation);
            Meter first = Read();
            await Task.Delay(_durations.Window, cancellation);
            sample = Meter.Between(first, Read(), empty, workload);
        }

        await _testpmd.StopForwardingAsync();
        return sends ? sample : Delivered(sample, start, Read(), before, await _testpmd.CountersAsync());
    }

    public ValueTask DisposeAsync() => _testpmd.DisposeAsync();

    /// <summary>What was read from the TAP but never given to the guest does not count.</summary>
    private static Sample Delivered(Sample sample, Meter start, Meter end, TestpmdCounters before, TestpmdCounters after)
    {
        long read = end.Tap.SentFrames - start.Tap.SentFrames;
        double share = Math.Min(1.0, (double)(after.Received - before.Received) / Math.Max(read, 1));
        return sample with
        {
            FramesPerSecond = sample.FramesPerSecond * share,
            NanosecondsPerFrame = sample.NanosecondsPerFrame / share,
            LossPercent = 100 - ((100 - sample.LossPercent) * share),
        };
    }

    private Meter Read() => Meter.Read(_backend.Namespace, _backend.Tap, _backend.Process.Id);
}
