using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>What only packed rings have: one ring for both sides, wrap counters, buffer ids, lengths of any size.</summary>
public sealed class PackedRingSpec
{
    private const DescriptorFlags Next = DescriptorFlags.Next;
    private const DescriptorFlags Indirect = DescriptorFlags.Indirect;
    private const ushort Wrap = 0x8000;

    [Fact]
    public void A_bad_chain_takes_all_its_slots()
    {
        using var bench = new RingBench(RingFormat.Packed, 7);
        bench.Driver.AddRaw(
            new RawDescriptor(RingBench.Data, 8, Next),
            new RawDescriptor(0x5000, 8, Next),
            new RawDescriptor(RingBench.Data, 8, Next),
            new RawDescriptor(RingBench.Data, 8));

        HostileChainSpec.ExpectBadThenGood(bench);
        Assert.Equal(5U, bench.Device.Base & 0x7fff);
    }

    [Fact]
    public void A_chain_without_end_breaks_the_ring()
    {
        using var bench = new RingBench(RingFormat.Packed, 7);
        var driver = (PackedTestDriver)bench.Driver;
        driver.AddRaw([.. Enumerable.Repeat(new RawDescriptor(RingBench.Data, 0, Next), 7)]);
        driver.Publish();

        Assert.Equal(PopStatus.BrokenRing, bench.Device.TryPop(false, out _));
        Assert.Equal(0, bench.Device.Space.Used);
        Assert.Equal(Wrap * 0x10001U, bench.Device.Base);
    }

    [Fact]
    public void A_chain_that_runs_into_those_not_returned_yet_breaks_the_ring()
    {
        using var bench = new RingBench(RingFormat.Packed, 4);
        var driver = (PackedTestDriver)bench.Driver;
        driver.Add(new Piece(RingBench.Data, 8));
        driver.Add(new Piece(RingBench.Data, 8));
        driver.AddRaw(new RawDescriptor(RingBench.Data, 8, Next), new RawDescriptor(RingBench.Data, 8, Next));
        driver.Publish();
        bench.Device.Pop();
        bench.Device.Pop();

        Assert.Equal(PopStatus.BrokenRing, bench.Device.TryPop(false, out _));
    }

    [Fact]
    public void A_ring_of_which_every_slot_is_taken_gives_no_more_even_if_a_slot_says_so()
    {
        using var bench = new RingBench(RingFormat.Packed, 2);
        var driver = (PackedTestDriver)bench.Driver;
        driver.Add(new Piece(RingBench.Data, 8));
        driver.Add(new Piece(RingBench.Data, 8));
        driver.Publish();
        bench.Device.Pop();
        bench.Device.Pop();
        Assert.False(bench.Device.HasWork);

        driver.Flags(0) = (ushort)DescriptorFlags.Used;

        Assert.Equal(PopStatus.BrokenRing, bench.Device.TryPop(false, out _));
    }

    [Fact]
    public void An_indirect_descriptor_at_the_end_of_a_chain_is_bad()
    {
        using var bench = new RingBench(RingFormat.Packed, 8);
        bench.Driver.WriteTable(RingBench.Tables, new RawDescriptor(RingBench.Data, 8));
        bench.Driver.AddRaw(new RawDescriptor(RingBench.Data, 8, Next), new RawDescriptor(RingBench.Tables, 16, Indirect));

        HostileChainSpec.ExpectBadThenGood(bench);
    }

    /// <summary>DPDK's driver has Write set for the header of what it sends.</summary>
    [Fact]
    public void No_flag_counts_in_an_indirect_table_that_the_device_reads_by()
    {
        using var bench = new RingBench(RingFormat.Packed, 8);
        bench.Memory.Write(RingBench.Data, [1, 2, 3, 4]);
        bench.Driver.WriteTable(
            RingBench.Tables,
            new RawDescriptor(RingBench.Data, 2, Indirect | DescriptorFlags.Write),
            new RawDescriptor(RingBench.Data + 2, 2, Next | DescriptorFlags.Available | DescriptorFlags.Used));
        bench.Driver.AddRaw(new RawDescriptor(RingBench.Tables, 32, Indirect));
        bench.Driver.Publish();

        Chain chain = bench.Device.Pop();

        Assert.Equal([1, 2, 3, 4], bench.Contents(in chain));
    }

    [Fact]
    public void An_indirect_table_with_one_entry_that_the_device_may_not_write_is_bad_on_a_receive_ring()
    {
        using var bench = new RingBench(RingFormat.Packed, 8);
        bench.Driver.WriteTable(
            RingBench.Tables,
            new RawDescriptor(RingBench.Data, 8, DescriptorFlags.Write),
            new RawDescriptor(RingBench.Data, 8, Indirect | Next));
        bench.Driver.AddRaw(new RawDescriptor(RingBench.Tables, 32, Indirect));

        HostileChainSpec.ExpectBadThenGood(bench, deviceWrites: true);
    }

    [Fact]
    public void A_buffer_id_is_the_drivers_own_affair()
    {
        using var bench = new RingBench(RingFormat.Packed, 3);
        var seen = new HashSet<ushort>();
        for (int i = 0; i < 1000; i++)
        {
            bench.Driver.Add(new Piece(RingBench.Data, 8), new Piece(RingBench.Data, 8));
            bench.Driver.Publish();
            Chain chain = bench.Device.Pop();
            bench.Device.Return(in chain);
            seen.Add(Assert.Single(bench.Driver.Collect()).Id);
        }

        Assert.Equal(1000, seen.Count);
        Assert.Contains(seen, id => id > 0x8000);
    }

    [Fact]
    public void Nothing_in_the_ring_changes_before_a_batch_is_published()
    {
        using var bench = new RingBench(RingFormat.Packed, 5);
        bench.Driver.Add(new Piece(RingBench.Data, 8, true), new Piece(RingBench.Data + 100, 8, true));
        bench.Driver.Add(new Piece(RingBench.Data, 8, true));
        bench.Driver.Publish();
        byte[] before = Ring(bench);

        Chain first = bench.Device.Pop(deviceWrites: true);
        Chain second = bench.Device.Pop(deviceWrites: true);
        bench.Device.Use(in first, 3);
        bench.Device.Use(in second, 5);

        Assert.Equal(before, Ring(bench));
        bench.Device.Publish();
        Assert.Equal([3U, 5U], bench.Driver.Collect().Select(chain => chain.Length));
    }

    [Fact]
    public void With_in_order_one_used_descriptor_returns_a_whole_transmit_batch()
    {
        using var bench = new RingBench(RingFormat.Packed, 6, RingBench.AllFeatures | VirtioFeatures.InOrder);
        bench.Driver.Add(new Piece(RingBench.Data, 8), new Piece(RingBench.Data, 8));
        bench.Driver.Add(new Piece(RingBench.Data, 8));
        bench.Driver.Add(new Piece(RingBench.Data, 8));
        bench.Driver.Publish();
        byte[] before = Ring(bench);

        bench.Device.UseUnwritten([bench.Device.Pop(), bench.Device.Pop(), bench.Device.Pop()]);
        bench.Device.Publish();

        Assert.Equal(before[16..], Ring(bench)[16..]);
        Assert.Equal(4U, bench.Device.Base & 0x7fff);
        Assert.Equal(3, bench.Driver.Collect().Count);
    }

    [Theory]
    [InlineData(3, true, 3, true)]
    [InlineData(0, true, 0, true)]
    [InlineData(2, false, 2, false)]
    [InlineData(3, true, 0, false)]
    [InlineData(0, true, 0, false)]
    [InlineData(3, false, 5, true)]
    [InlineData(3, false, 2, false)]
    public void The_ring_goes_on_from_the_available_half_of_the_base_when_nothing_was_left_out(
        int available, bool availableWrap, int used, bool usedWrap)
    {
        using var bench = new RingBench(RingFormat.Packed, 5, start: Position(available, availableWrap));
        bench.Driver.Add(new Piece(RingBench.Data, 8));
        bench.Driver.Publish();

        bench.Restart((uint)(Position(available, availableWrap) | (Position(used, usedWrap) << 16)));

        Assert.Equal(Position(available, availableWrap) * 0x10001U, bench.Device.Base);
        Chain chain = bench.Device.Pop();
        bench.Device.Return(in chain);
        Assert.Single(bench.Driver.Collect());
    }

    [Theory]
    [InlineData(3, true)]
    [InlineData(3, false)]
    public void Chains_that_were_taken_and_not_returned_are_taken_again(int start, bool wrap)
    {
        using var bench = new RingBench(RingFormat.Packed, 5, start: Position(start, wrap));
        for (uint i = 1; i <= 5; i++)
        {
            bench.Driver.Add(new Piece(RingBench.Data, i));
        }

        bench.Driver.Publish();

        bench.Restart((uint)(Position(start, !wrap) | (Position(start, wrap) << 16)));

        for (uint i = 1; i <= 5; i++)
        {
            Assert.Equal(i, bench.Device.Pop().Length);
        }

        Assert.Equal(PopStatus.Empty, bench.Device.TryPop(false, out _));
    }

    [Fact]
    public void A_base_beyond_the_ring_is_refused()
    {
        using var bench = new RingBench(RingFormat.Packed, 5);

        Assert.Contains("the base", DeviceSide.TryAttach(bench.Plan with { Base = 5 }, bench.Memory.View, out _));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(32_769)]
    public void A_size_out_of_range_is_refused(int size)
    {
        using var bench = new RingBench(RingFormat.Packed, 5);

        Assert.Contains($"ring size {size}", DeviceSide.TryAttach(bench.Plan with { Size = size }, bench.Memory.View, out _));
    }

    [Fact]
    public void Parts_that_are_misaligned_or_not_mapped_are_refused()
    {
        using var bench = new RingBench(RingFormat.Packed, 5);
        RingPlan plan = bench.Plan;

        Assert.Contains("descriptor ring", Refusal(plan with { DescriptorAddress = plan.DescriptorAddress - 8 }));
        Assert.Contains("descriptor ring", Refusal(plan with { DescriptorAddress = plan.DescriptorAddress + 16 }));
        Assert.Contains("driver event", Refusal(plan with { DriverAddress = plan.DriverAddress - 2 }));
        Assert.Contains("device event", Refusal(plan with { DeviceAddress = plan.DeviceAddress + 4 }));

        string Refusal(RingPlan changed)
        {
            string? problem = DeviceSide.TryAttach(changed, bench.Memory.View, out DeviceSide? device);
            Assert.Null(device);
            return problem!;
        }
    }

    private static ushort Position(int slot, bool wrap) => (ushort)(slot | (wrap ? Wrap : 0));

    private static byte[] Ring(RingBench bench) =>
        bench.Memory.Read(bench.Plan.DescriptorAddress - GuardedMemory.UserBase, 16 * bench.Plan.Size);
}
