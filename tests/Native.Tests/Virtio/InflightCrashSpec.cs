using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>
/// A device that dies between any two of its stores while it returns a batch, and the one that takes over with the in-flight
/// region: no chain is lost, none comes back twice, the order stays.
/// </summary>
public sealed class InflightCrashSpec
{
    private const VirtioFeatures InOrder = VirtioFeatures.InOrder;

    /// <summary>More than the stores of any batch here.</summary>
    private const int MostStores = 500;

    public static TheoryData<RingFormat, int, VirtioFeatures, int, int?> Rings => new()
    {
        { RingFormat.Split, 8, 0, 3, null },
        { RingFormat.Split, 8, InOrder, 3, 65_533 },
        { RingFormat.Split, 4, 0, 4, 65_534 },
        { RingFormat.Packed, 8, 0, 3, null },
        { RingFormat.Packed, 7, InOrder, 3, 0x8005 },
        { RingFormat.Packed, 7, 0, 3, 0x0005 },
        { RingFormat.Packed, 3, 0, 3, 0x8002 },
        { RingFormat.Packed, 5, InOrder, 5, 0x0000 },
    };

    [Theory]
    [MemberData(nameof(Rings))]
    public void Whichever_store_is_the_last_no_chain_is_lost_and_none_comes_back_twice(
        RingFormat format, int size, VirtioFeatures features, int batch, int? start)
    {
        int died = 0;
        bool survived = false;
        for (int stores = 0; !survived; stores++)
        {
            Assert.True(stores < MostStores);
            using InflightBench bench = new(format, size, features, stores, (ushort?)start);
            bench.Add(size);
            Assert.True(bench.TryReturn(1));
            bench.Add(size);

            survived = bench.TryReturn(batch, stores);
            died += survived ? 0 : 1;
            bench.Restart();
            bench.Add(2);
            bench.Drain();
            bench.Add(size);
            bench.Drain();
        }

        // Counter, mark, two of the list, mark again, for each chain: fewer would mean that some store is not looked at.
        Assert.True(died > 5 * Math.Min(batch, 2), $"{died} places to die");
    }

    [Theory]
    [MemberData(nameof(Rings))]
    public void Nor_when_the_one_that_takes_over_dies_too(
        RingFormat format, int size, VirtioFeatures features, int batch, int? start)
    {
        for (int seed = 0; seed < 250; seed++)
        {
            var random = new Random(seed);
            using InflightBench bench = new(format, size, features, seed, (ushort?)start);
            for (int life = 0; life < 8; life++)
            {
                bench.Add(size);
                if (!bench.TryReturn(1 + random.Next(batch), random.Next(40)))
                {
                    bench.Restart(random.Next(20));
                }
            }

            bench.Drain();
        }
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void Between_two_batches_nothing_is_in_flight(RingFormat format)
    {
        using InflightBench bench = new(format, 8, 0, seed: 1);
        for (int round = 0; round < 20; round++)
        {
            bench.Add(3);
            Assert.True(bench.TryReturn(2));
            Assert.Empty(InflightMemory.Marked(bench.Region, bench.Ring.Plan));
        }
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void A_region_that_is_changed_for_another_takes_over_what_is_pending(RingFormat format)
    {
        for (int stores = 0; stores < 60; stores++)
        {
            using InflightBench first = new(format, 8, 0, seed: stores);
            first.Add(8);
            first.TryReturn(3, stores);
            first.Restart();
            using var second = new InflightMemory(1, 8, format);
            first.Ring.Memory.Inflight = second.Region;
            Assert.Null(first.Ring.Device.TryReattach(first.Ring.Plan, first.Ring.Memory.View));
            Assert.Equal(
                InflightMemory.Marked(first.Region, first.Ring.Plan).Count,
                InflightMemory.Marked(second.Region, first.Ring.Plan).Count);

            first.Restart();
            first.Drain();
        }
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void A_change_of_memory_or_log_changes_nothing_of_what_is_pending(RingFormat format)
    {
        for (int stores = 0; stores < 60; stores++)
        {
            using InflightBench bench = new(format, 8, 0, seed: stores);
            bench.Add(8);
            bench.TryReturn(3, stores);
            bench.Restart();
            bench.Add(3);
            Assert.True(bench.TryReturn(1));
            Assert.Null(bench.Ring.Device.TryReattach(bench.Ring.Plan, bench.Ring.Memory.View));
            bench.Drain();
        }
    }
}
