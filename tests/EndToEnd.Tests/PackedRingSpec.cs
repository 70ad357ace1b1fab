using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>Packed rings, and used entries in order in both formats, from our own guest's half through a real TAP.</summary>
public sealed class PackedRingSpec : BackendFixture
{
    private const VirtioFeatures Packed = VirtioFeatures.RingPacked;
    private const VirtioFeatures InOrder = VirtioFeatures.InOrder;
    private const int Frames = 500;

    [SkippableTheory]
    [InlineData(Packed, 256)]
    [InlineData(Packed, 100)]
    [InlineData(Packed, 1023)]
    [InlineData(Packed | InOrder, 256)]
    [InlineData(Packed | InOrder, 37)]
    [InlineData(InOrder, 256)]
    public async Task Every_frame_arrives_once_and_unchanged_both_ways(VirtioFeatures format, int size)
    {
        await StartAsync();
        using PacketSocket host = OpenHost();
        using VirtioNetDriver driver = Connect(format, size);

        Assert.Equal(format, driver.Features & (Packed | InOrder));
        FrameExchange.Run(driver, host, Frames);
    }

    /// <summary>So many frames that the ring stops in laps of either wrap counter, at any slot.</summary>
    [SkippableTheory]
    [InlineData(Packed)]
    [InlineData(Packed | InOrder)]
    public async Task A_ring_goes_on_where_GET_VRING_BASE_said_that_it_stopped(VirtioFeatures format)
    {
        await StartAsync();
        using PacketSocket host = OpenHost();
        using VirtioNetDriver driver = Connect(format, 20);
        HashSet<uint> wraps = [];

        for (int round = 0; round < 20; round++)
        {
            FrameExchange.Run(driver, host, 7 + round, window: 8);
            foreach (NetQueuePair pair in driver.Pairs)
            {
                pair.Reclaim();
            }

            IReadOnlyList<uint> bases = driver.StopRings();
            Assert.All(bases, position => Assert.Equal(position & 0xffff, position >> 16));
            Assert.Equal(driver.Pairs.SelectMany(pair => new[] { pair.Rx.Base, pair.Tx.Base }), bases);
            wraps.UnionWith(bases.Select(position => position >> 31));
            driver.StartRings();
        }

        Assert.Equal([0u, 1u], wraps.Order());
        FrameExchange.Run(driver, host, Frames);
    }

    [SkippableFact]
    public async Task A_front_end_may_go_from_one_format_to_the_other()
    {
        await StartAsync();
        using PacketSocket host = OpenHost();
        foreach (VirtioFeatures format in new[] { Packed, VirtioFeatures.None, Packed | InOrder })
        {
            using VirtioNetDriver driver = Connect(format, 64);
            FrameExchange.Run(driver, host, 50);
            driver.StopRings();
        }
    }

    private async Task StartAsync()
    {
        Backends.SkipForDpdk("its packed rings are not in question here");
        await StartAsync(new BackendOptions { QueuePairs = 2 });
    }

    private VirtioNetDriver Connect(VirtioFeatures format, int size) =>
        Connect(new VirtioNetOptions { Pairs = 2, QueueSize = size, Features = VirtioNetOptions.ModernFeatures | format });
}
