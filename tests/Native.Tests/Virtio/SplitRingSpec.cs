using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>What only split rings have: a table of linked descriptors, and two indices.</summary>
public sealed class SplitRingSpec
{
    private const int Size = 8;
    private const DescriptorFlags Next = DescriptorFlags.Next;
    private const DescriptorFlags Indirect = DescriptorFlags.Indirect;

    [Fact]
    public void A_chain_that_loops_is_bad()
    {
        using var bench = new RingBench(RingFormat.Split, Size);
        bench.Driver.AddRaw(new RawDescriptor(RingBench.Data, 0, Next, 1), new RawDescriptor(RingBench.Data, 0, Next, 0));

        HostileChainSpec.ExpectBadThenGood(bench);
    }

    [Theory]
    [InlineData(Size)]
    [InlineData(0xffff)]
    public void A_successor_beyond_the_table_is_bad(ushort next)
    {
        using var bench = new RingBench(RingFormat.Split, Size);
        bench.Driver.AddRaw(new RawDescriptor(RingBench.Data, 8, Next, next));

        HostileChainSpec.ExpectBadThenGood(bench);
    }

    [Fact]
    public void A_table_within_a_table_is_bad()
    {
        using var bench = new RingBench(RingFormat.Split, Size);
        bench.Driver.WriteTable(
            RingBench.Tables,
            new RawDescriptor(RingBench.Tables + 16, 16, Indirect),
            new RawDescriptor(RingBench.Data, 8));
        bench.Driver.AddRaw(new RawDescriptor(RingBench.Tables, 16, Indirect));

        HostileChainSpec.ExpectBadThenGood(bench);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(0xffff)]
    public void A_successor_that_loops_or_leaves_its_indirect_table_is_bad(ushort next)
    {
        using var bench = new RingBench(RingFormat.Split, Size);
        bench.Driver.WriteTable(
            RingBench.Tables,
            new RawDescriptor(RingBench.Data, 0, Next, 1),
            new RawDescriptor(RingBench.Data, 0, Next, next));
        bench.Driver.AddRaw(new RawDescriptor(RingBench.Tables, 32, Indirect));

        HostileChainSpec.ExpectBadThenGood(bench);
    }

    [Fact]
    public void A_table_may_follow_buffers_of_the_ring()
    {
        using var bench = new RingBench(RingFormat.Split, Size);
        bench.Memory.Write(RingBench.Data, [1, 2, 3, 4]);
        bench.Driver.WriteTable(RingBench.Tables, new RawDescriptor(RingBench.Data, 2));
        bench.Driver.AddRaw(new RawDescriptor(RingBench.Data + 2, 2, Next, 1), new RawDescriptor(RingBench.Tables, 16, Indirect));
        bench.Driver.Publish();

        Chain chain = bench.Device.Pop();

        Assert.Equal([3, 4, 1, 2], bench.Contents(in chain));
    }

    [Theory]
    [InlineData(Size)]
    [InlineData(0xffff)]
    public void A_head_beyond_the_table_breaks_the_ring(ushort head)
    {
        using var bench = new RingBench(RingFormat.Split, Size);
        var driver = (SplitTestDriver)bench.Driver;
        driver.Add(new Piece(RingBench.Data, 8));
        driver.AvailableEntry(0) = head;
        driver.Publish();

        Assert.Equal(PopStatus.BrokenRing, bench.Device.TryPop(false, out _));
        Assert.Equal(0U, bench.Device.Base);
    }

    [Theory]
    [InlineData(Size + 1)]
    [InlineData(0x8000)]
    [InlineData(0xffff)]
    public void An_available_index_further_than_the_ring_is_long_breaks_the_ring(int index)
    {
        using var bench = new RingBench(RingFormat.Split, Size);
        ((SplitTestDriver)bench.Driver).AvailableIndex = (ushort)index;

        Assert.Equal(PopStatus.BrokenRing, bench.Device.TryPop(false, out _));
    }

    [Fact]
    public void An_available_index_that_goes_back_breaks_the_ring()
    {
        using var bench = new RingBench(RingFormat.Split, Size, start: 100);
        bench.Driver.Add(new Piece(RingBench.Data, 8));
        bench.Driver.Publish();
        bench.Device.Pop();
        ((SplitTestDriver)bench.Driver).AvailableIndex = 100;

        Assert.Equal(PopStatus.BrokenRing, bench.Device.TryPop(false, out _));
    }

    [Fact]
    public void Chains_that_are_not_returned_yet_count_when_the_available_index_is_judged()
    {
        using var bench = new RingBench(RingFormat.Split, Size);
        var driver = (SplitTestDriver)bench.Driver;
        for (int i = 0; i < Size; i++)
        {
            driver.Add(new Piece(RingBench.Data, 8));
        }

        driver.Publish();
        for (int i = 0; i < Size; i++)
        {
            bench.Device.Pop();
        }

        driver.AvailableIndex = Size + 1;

        Assert.Equal(PopStatus.BrokenRing, bench.Device.TryPop(false, out _));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(65_535)]
    public void The_ring_goes_on_from_the_used_index_whatever_the_base_says(uint position)
    {
        using var bench = new RingBench(RingFormat.Split, Size, start: 65_534);
        for (ulong i = 0; i < 4; i++)
        {
            bench.Driver.Add(new Piece(RingBench.Data, (uint)i + 1));
        }

        bench.Driver.Publish();
        Chain first = bench.Device.Pop();
        bench.Device.Pop();
        bench.Device.Return(in first);

        bench.Restart(position);

        Assert.Equal(65_535U, bench.Device.Base);
        Assert.Equal(2UL, bench.Device.Pop().Length);
    }

    [Fact]
    public void A_used_index_ahead_of_the_available_one_breaks_the_ring()
    {
        using var bench = new RingBench(RingFormat.Split, Size, start: 100);
        ((SplitTestDriver)bench.Driver).AvailableIndex = 99;

        bench.Restart();

        Assert.Equal(PopStatus.BrokenRing, bench.Device.TryPop(false, out _));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(65_536)]
    public void A_size_that_is_no_power_of_two_or_too_great_is_refused(int size)
    {
        using var bench = new RingBench(RingFormat.Split, Size);

        Assert.Contains($"ring size {size}", DeviceSide.TryAttach(bench.Plan with { Size = size }, bench.Memory.View, out _)!);
    }

    [Fact]
    public void Parts_that_are_misaligned_or_not_mapped_are_refused()
    {
        using var bench = new RingBench(RingFormat.Split, Size);
        RingPlan plan = bench.Plan;

        Assert.Contains("descriptor table", Refusal(plan with { DescriptorAddress = plan.DescriptorAddress - 8 }));
        Assert.Contains("descriptor table", Refusal(plan with { DescriptorAddress = plan.DescriptorAddress + 16 }));
        Assert.Contains("available ring", Refusal(plan with { DriverAddress = plan.DriverAddress - 1 }));
        Assert.Contains("available ring", Refusal(plan with { DriverAddress = plan.DriverAddress + 4 }));
        Assert.Contains("used ring", Refusal(plan with { DeviceAddress = plan.DeviceAddress - 2 }));
        Assert.Contains("used ring", Refusal(plan with { DeviceAddress = ulong.MaxValue - 3 }));

        string Refusal(RingPlan changed)
        {
            string? problem = DeviceSide.TryAttach(changed, bench.Memory.View, out DeviceSide? device);
            Assert.Null(device);
            return problem!;
        }
    }
}
