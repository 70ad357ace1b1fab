using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>Front-ends come and go; the device serves the next one, and nothing of the last one stays behind.</summary>
public sealed class FrontEndCyclesSpec : BackendFixture
{
    private const int Cycles = 200;
    private const int Frames = 16;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    [SkippableFact]
    public async Task Two_hundred_front_ends_that_leave_cleanly_leave_nothing_behind() =>
        await CycleAsync(driver => driver.StopRings());

    [SkippableFact]
    public async Task Two_hundred_front_ends_that_vanish_leave_nothing_behind() =>
        await CycleAsync(_ => { });

    [SkippableFact]
    public async Task After_a_front_end_was_killed_in_full_traffic_the_next_one_is_served()
    {
        await StartAsync();
        Require.Program("dpdk-testpmd", "dpdk-dev");
        for (int i = 0; i < 5; i++)
        {
            TestpmdOptions options = new(Queues: 2, Mergeable: true, QueueSize: 256);
            await using TestpmdFrontEnd testpmd = await TestpmdFrontEnd.StartAsync(Backend, options);
            long before = Counters().ReceivedFrames;
            await testpmd.StartForwardingAsync("txonly");
            await Eventually.GetAsync(() => Counters().ReceivedFrames - before, frames => frames >= 10_000, Timeout);
            await testpmd.Process.KillAsync();
        }

        using PacketSocket host = OpenHost();
        using VirtioNetDriver driver = Connect();
        FrameExchange.Run(driver, host, Frames);
    }

    /// <summary>
    /// The first cycles warm the process up (thread pool, compiled code), so that what it holds after them is the measure.
    /// </summary>
    private async Task CycleAsync(Action<VirtioNetDriver> leave)
    {
        await StartAsync();
        using PacketSocket host = OpenHost();
        int mappings = Holdings.Of(Backend.Process.Id).GuestMappings;
        Holdings? warm = null;
        for (int cycle = -20; cycle < Cycles; cycle++)
        {
            if (cycle == 0)
            {
                warm = await WhenQuietAsync(mappings);
            }

            using VirtioNetDriver driver = Connect();
            FrameExchange.Run(driver, host, Frames);
            leave(driver);
        }

        Holdings end = await WhenQuietAsync(mappings);
        Assert.Equal(mappings, end.GuestMappings);
        Assert.Equal("", end.ChangedSince(warm!));
    }

    /// <summary>What the process holds when no front-end is connected any more, which it learns a moment later.</summary>
    private async Task<Holdings> WhenQuietAsync(int mappings)
    {
        Holdings last = Holdings.Of(Backend.Process.Id);
        return await Eventually.GetAsync(
            () => Holdings.Of(Backend.Process.Id),
            now =>
            {
                bool quiet = now.GuestMappings == mappings && now.ChangedSince(last).Length == 0;
                last = now;
                return quiet;
            },
            Timeout);
    }

    private Task StartAsync() => StartAsync(new BackendOptions { QueuePairs = 2 });

    private VirtioNetDriver Connect() => Connect(new VirtioNetOptions { Pairs = 2, QueueSize = 64 });
}
