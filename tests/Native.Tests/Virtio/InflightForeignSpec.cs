using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>
/// In-flight regions that another back-end left, one that returns chains out of order: what is in flight stands in no ring any
/// more, and is taken up in the order of its counters before all else.
/// </summary>
public sealed unsafe class InflightForeignSpec
{
    private const int Size = 8;
    private const ushort Available = 1 << 7;

    /// <summary>Six chains were made available and five taken; 1, 2 and 4 came back, 3 and 0, taken in this order, not.</summary>
    [Fact]
    public void Chains_of_a_split_ring_are_taken_up_in_the_order_of_their_counters()
    {
        using var memory = new InflightMemory(1, Size, RingFormat.Split);
        using RingBench bench = SplitBench(memory);
        memory.Write16(8, 1);
        memory.Write16(14, 3);
        memory.WriteSplit(3, inflight: true, counter: 40);
        memory.WriteSplit(0, inflight: true, counter: 41);
        bench.Restart();

        // What other back-ends leave in the slots that they have read means nothing: here the numbers of chains that came back.
        Assert.Equal([3, 0, 5], PopAll(bench));
        Assert.Equal([0, 3], InflightMemory.Marked(memory.Region, bench.Plan));
    }

    /// <summary>The used index moved from 1 to 3 and the region's did not: 1 and 4 were the last batch.</summary>
    [Fact]
    public void The_last_batch_of_a_split_ring_is_settled_first()
    {
        using var memory = new InflightMemory(1, Size, RingFormat.Split);
        using RingBench bench = SplitBench(memory);
        memory.Write16(8, 1);
        memory.Write16(12, 4);
        memory.Write16(14, 1);
        memory.WriteSplit(4, inflight: true, counter: 42, next: 1);
        memory.WriteSplit(1, inflight: true, counter: 39, next: 2);
        memory.WriteSplit(3, inflight: true, counter: 40);
        memory.WriteSplit(0, inflight: true, counter: 41);
        bench.Restart();

        Assert.Equal([3, 0, 5], PopAll(bench));
    }

    [Fact]
    public void More_chains_in_flight_than_were_made_available_break_the_ring()
    {
        using var memory = new InflightMemory(1, Size, RingFormat.Split);
        using RingBench bench = SplitBench(memory);
        memory.Write16(8, 1);
        memory.Write16(14, 3);
        for (int head = 0; head < 4; head++)
        {
            memory.WriteSplit(head, inflight: true, counter: 1);
        }

        Assert.Equal(
            "4 chains are said to be in flight, and 3 were made available",
            DeviceSide.TryAttach(bench.Plan, bench.Memory.View, out _));
    }

    /// <summary>
    /// A chain of two descriptors (states 4 and 1, id 70) was taken after one of one (state 2, id 90); both are in flight, the
    /// used position is 3. The ring's own slots there hold something else.
    /// </summary>
    [Fact]
    public void Chains_of_a_packed_ring_are_taken_up_from_their_copies()
    {
        using var memory = new InflightMemory(1, Size, RingFormat.Packed);
        using RingBench bench = PackedBench(memory);
        bench.Restart();

        Chain first = bench.Device.Pop();
        Chain second = bench.Device.Pop();
        Assert.Equal((90, 1, 9UL), (first.Id, first.Slots, first.Length));
        Assert.Equal((70, 2, 12UL), (second.Id, second.Slots, second.Length));
        Assert.Equal(PopStatus.Empty, bench.Device.TryPop(false, out _));
        Assert.False(bench.Device.HasWork);

        bench.Device.UseUnwritten([first, second]);
        bench.Device.Publish();
        Assert.Equal(0x8006_8006U, bench.Device.Base);
        Assert.Empty(InflightMemory.Marked(memory.Region, bench.Plan));
        bench.Restart();
        Assert.Equal(0x8006_8006U, bench.Device.Base);
    }

    /// <summary>
    /// One descriptor after the other is added behind chains that are still in flight, and is found there.
    /// </summary>
    [Fact]
    public void What_the_driver_adds_meanwhile_is_found_behind_them()
    {
        using var memory = new InflightMemory(1, Size, RingFormat.Packed);
        using RingBench bench = PackedBench(memory);
        bench.Restart();
        bench.Device.Pop();
        bench.Device.Pop();
        for (uint i = 0; i < 2; i++)
        {
            ulong slot = bench.Plan.DescriptorAddress - GuardedMemory.UserBase + (16 * (6 + (ulong)i));
            *(ulong*)bench.Memory.At(slot) = RingBench.Data;
            *(ulong*)bench.Memory.At(slot + 8) = new PackedTail(20 + i, (ushort)i, (DescriptorFlags)Available).Word;

            Assert.True(bench.Device.HasWork);
            Assert.Equal(20UL + i, bench.Device.Pop().Length);
        }
    }

    [Theory]
    [InlineData(8, 2)]
    [InlineData(16, Size)]
    [InlineData(18, Size)]
    [InlineData(14, 1)]
    [InlineData(32 + 2, 0)]
    [InlineData(32 + 2, 5)]
    [InlineData(32 + (4 * 32) + 6, 0)]
    [InlineData(32 + (4 * 32) + 6, 3)]
    [InlineData(32 + (4 * 32) + 6, ushort.MaxValue)]
    [InlineData(32 + (4 * 32) + 2, ushort.MaxValue)]
    [InlineData(32 + (4 * 32) + 2, 2)]
    public void A_packed_rings_region_that_does_not_add_up_breaks_the_ring(int offset, int value)
    {
        using var memory = new InflightMemory(1, Size, RingFormat.Packed);
        using RingBench bench = PackedBench(memory);
        memory.Write16(offset, value);

        Assert.NotNull(DeviceSide.TryAttach(bench.Plan, bench.Memory.View, out _));
    }

    private static RingBench SplitBench(InflightMemory memory)
    {
        var bench = new RingBench(RingFormat.Split, Size, RingBench.AllFeatures | VirtioFeatures.InOrder);
        for (uint i = 0; i < 6; i++)
        {
            bench.Driver.Add(new Piece(RingBench.Data, 1 + i));
        }

        bench.Driver.Publish();
        ulong available = bench.Plan.DriverAddress - GuardedMemory.UserBase;
        for (ulong slot = 0; slot < 5; slot++)
        {
            *(ushort*)bench.Memory.At(available + 4 + (2 * slot)) = 1;
        }

        *(ushort*)bench.Memory.At(bench.Plan.DeviceAddress - GuardedMemory.UserBase + 2) = 3;
        bench.Memory.Inflight = memory.Region;
        return bench;
    }

    private static RingBench PackedBench(InflightMemory memory)
    {
        var bench = new RingBench(RingFormat.Packed, Size);
        memory.Write16(8, 1);
        memory.Write16(12, 0);
        memory.Write16(14, 0);
        memory.Write16(16, 3);
        memory.Write16(18, 3);
        memory.Write16(20, 0x0101);
        int[] free = [0, 3, 5, 6, 7];
        for (int i = 0; i < free.Length; i++)
        {
            memory.WritePacked(free[i], i + 1 < free.Length ? free[i + 1] : Size, default);
        }

        memory.WritePacked(4, 1, new PackedState(true, 1, 2, 8, 1, 1 | Available, 5, RingBench.Data));
        memory.WritePacked(1, 0, new PackedState(false, 0, 0, 0, 70, Available, 7, RingBench.Data));
        memory.WritePacked(2, 0, new PackedState(true, 2, 1, 7, 90, Available, 9, RingBench.Data));
        bench.Memory.Inflight = memory.Region;
        return bench;
    }

    private static List<int> PopAll(RingBench bench)
    {
        List<int> heads = [];
        while (bench.Device.TryPop(false, out Chain chain) == PopStatus.Popped)
        {
            heads.Add(chain.Id);
        }

        return heads;
    }
}
