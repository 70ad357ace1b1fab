using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>
/// Chains that break the rules, one rule a test. Such a chain comes back with length 0, in its turn, and the chain behind it
/// is none the worse.
/// </summary>
public sealed class HostileChainSpec
{
    private const int Size = 16;
    private const DescriptorFlags Next = DescriptorFlags.Next;
    private const DescriptorFlags Write = DescriptorFlags.Write;
    private const DescriptorFlags Indirect = DescriptorFlags.Indirect;

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void A_buffer_that_the_device_may_write_is_bad_on_a_transmit_ring(RingFormat format) =>
        ExpectBadTransmit(format, new RawDescriptor(RingBench.Data, 8, Next, 1), new RawDescriptor(RingBench.Data, 8, Write));

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void A_buffer_that_the_device_may_not_write_is_bad_on_a_receive_ring(RingFormat format)
    {
        using var bench = new RingBench(format, Size);
        bench.Driver.AddRaw(new RawDescriptor(RingBench.Data, 8, Next | Write, 1), new RawDescriptor(RingBench.Data, 8));

        ExpectBadThenGood(bench, deviceWrites: true);
    }

    [Theory]
    [InlineData(RingFormat.Split, 0x5000UL, 8U)]
    [InlineData(RingFormat.Packed, 0x5000UL, 8U)]
    [InlineData(RingFormat.Split, RingBench.Data - 1, 2U)]
    [InlineData(RingFormat.Packed, RingBench.Data - 1, 2U)]
    [InlineData(RingFormat.Split, ulong.MaxValue, 1U)]
    [InlineData(RingFormat.Packed, ulong.MaxValue, 1U)]
    public void A_buffer_that_is_not_mapped_is_bad(RingFormat format, ulong address, uint length) =>
        ExpectBadTransmit(format, new RawDescriptor(address, length));

    [Theory]
    [InlineData(RingFormat.Split, RingBench.DataEnd - 8, 9U)]
    [InlineData(RingFormat.Packed, RingBench.DataEnd - 8, 9U)]
    [InlineData(RingFormat.Split, RingBench.Data, uint.MaxValue)]
    [InlineData(RingFormat.Packed, RingBench.Data, uint.MaxValue)]
    public void A_buffer_that_goes_on_beyond_the_last_region_is_bad(RingFormat format, ulong address, uint length) =>
        ExpectBadTransmit(format, new RawDescriptor(address, length));

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void A_buffer_that_spans_two_adjacent_regions_is_two_vectors(RingFormat format)
    {
        using var bench = new RingBench(format, Size);
        byte[] bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        bench.Memory.Write(RingBench.SecondData - 3, bytes);
        bench.Driver.Add(new Piece(RingBench.SecondData - 3, 8));
        bench.Driver.Publish();

        Chain chain = bench.Device.Pop();

        Assert.Equal(2, chain.VectorCount);
        Assert.Equal(8UL, chain.Length);
        Assert.Equal(bytes, bench.Contents(in chain));
        Assert.Equal(RingBench.SecondData, GuestAddress(bench, in chain, 1));
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void Buffers_that_follow_each_other_become_one_vector(RingFormat format)
    {
        using var bench = new RingBench(format, Size);
        bench.Driver.Add(new Piece(RingBench.Data, 12), new Piece(RingBench.Data + 12, 100), new Piece(RingBench.Data + 113, 1));
        bench.Driver.Publish();

        Chain chain = bench.Device.Pop();

        Assert.Equal(2, chain.VectorCount);
        Assert.Equal(113UL, chain.Length);
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void Descriptors_of_length_zero_add_nothing_wherever_they_point(RingFormat format)
    {
        using var bench = new RingBench(format, Size);
        bench.Driver.Add(new Piece(0x5000, 0), new Piece(RingBench.Data, 8), new Piece(ulong.MaxValue, 0));
        bench.Driver.Add(new Piece(0, 0));
        bench.Driver.Publish();

        Chain chain = bench.Device.Pop();
        Chain empty = bench.Device.Pop();

        Assert.Equal((1, 8UL), (chain.VectorCount, chain.Length));
        Assert.Equal((0, 0UL), (empty.VectorCount, empty.Length));
    }

    [Theory]
    [InlineData(RingFormat.Split, VectorSpace.MaxPerChain, PopStatus.Popped)]
    [InlineData(RingFormat.Packed, VectorSpace.MaxPerChain, PopStatus.Popped)]
    [InlineData(RingFormat.Split, VectorSpace.MaxPerChain + 1, PopStatus.BadChain)]
    [InlineData(RingFormat.Packed, VectorSpace.MaxPerChain + 1, PopStatus.BadChain)]
    internal void A_chain_of_more_pieces_than_a_system_call_takes_is_bad(RingFormat format, int pieces, PopStatus expected)
    {
        using var bench = new RingBench(format, Size);
        Piece[] scattered = [.. Enumerable.Range(0, pieces).Select(i => new Piece(RingBench.Data + (2 * (ulong)i), 1))];
        bench.Driver.AddIndirect(RingBench.Tables, scattered);
        bench.Driver.Publish();

        Assert.Equal(expected, bench.Device.TryPop(false, out Chain chain));

        Assert.Equal(expected == PopStatus.Popped ? pieces : 0, chain.VectorCount);
        Assert.Equal(chain.VectorCount, bench.Device.Space.Used);
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void A_chain_as_long_as_the_ring_is_legal(RingFormat format)
    {
        using var bench = new RingBench(format, Size);
        for (int round = 0; round < 3; round++)
        {
            bench.Driver.Add([.. Enumerable.Range(0, Size).Select(i => new Piece(RingBench.Data + (4 * (ulong)i), 3))]);
            bench.Driver.Publish();

            Chain chain = bench.Device.Pop();

            Assert.Equal(Size * 3UL, chain.Length);
            Assert.Equal(PopStatus.Empty, bench.Device.TryPop(false, out _));
            bench.Device.Return(in chain);
            Assert.Single(bench.Driver.Collect());
        }
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void An_indirect_table_without_the_feature_is_bad(RingFormat format)
    {
        using var bench = new RingBench(format, Size, VirtioFeatures.Version1);
        bench.Driver.AddIndirect(RingBench.Tables, new Piece(RingBench.Data, 8));

        ExpectBadThenGood(bench);
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void A_descriptor_that_is_indirect_and_has_a_successor_is_bad(RingFormat format)
    {
        using var bench = new RingBench(format, Size);
        bench.Driver.WriteTable(RingBench.Tables, new RawDescriptor(RingBench.Data, 8));
        bench.Driver.AddRaw(new RawDescriptor(RingBench.Tables, 16, Indirect | Next, 1), new RawDescriptor(RingBench.Data, 8));

        ExpectBadThenGood(bench);
    }

    [Theory]
    [InlineData(RingFormat.Split, 0U)]
    [InlineData(RingFormat.Packed, 0U)]
    [InlineData(RingFormat.Split, 15U)]
    [InlineData(RingFormat.Packed, 15U)]
    [InlineData(RingFormat.Split, 17U)]
    [InlineData(RingFormat.Packed, 17U)]
    [InlineData(RingFormat.Split, uint.MaxValue)]
    [InlineData(RingFormat.Packed, uint.MaxValue)]
    public void An_indirect_table_that_is_empty_or_ends_within_an_entry_is_bad(RingFormat format, uint length)
    {
        using var bench = new RingBench(format, Size);
        bench.Driver.WriteTable(RingBench.Tables, new RawDescriptor(RingBench.Data, 8), new RawDescriptor(RingBench.Data, 8));
        bench.Driver.AddRaw(new RawDescriptor(RingBench.Tables, length, Indirect));

        ExpectBadThenGood(bench);
    }

    [Theory]
    [InlineData(RingFormat.Split, 0x5000UL, 16U)]
    [InlineData(RingFormat.Packed, 0x5000UL, 16U)]
    [InlineData(RingFormat.Split, RingBench.DataEnd - 15, 16U)]
    [InlineData(RingFormat.Packed, RingBench.DataEnd - 15, 16U)]
    [InlineData(RingFormat.Split, ulong.MaxValue - 14, 16U)]
    [InlineData(RingFormat.Packed, ulong.MaxValue - 14, 16U)]
    [InlineData(RingFormat.Split, ulong.MaxValue - 15, 0xffff_fff0U)]
    [InlineData(RingFormat.Packed, ulong.MaxValue - 15, 0xffff_fff0U)]
    public void An_indirect_table_that_is_not_mapped_is_bad(RingFormat format, ulong table, uint length) =>
        ExpectBadTransmit(format, new RawDescriptor(table, length, Indirect));

    [Theory]
    [InlineData(RingFormat.Split, 1)]
    [InlineData(RingFormat.Packed, 1)]
    [InlineData(RingFormat.Split, 8)]
    [InlineData(RingFormat.Packed, 8)]
    [InlineData(RingFormat.Split, 24)]
    [InlineData(RingFormat.Packed, 24)]
    public void An_indirect_table_may_span_regions_and_lie_at_any_address(RingFormat format, int before)
    {
        using var bench = new RingBench(format, Size);
        bench.Memory.Write(RingBench.Data, [1, 2, 3, 4, 5, 6]);
        ulong table = RingBench.SecondData - (ulong)before;
        bench.Driver.AddIndirect(table, new Piece(RingBench.Data + 3, 3), new Piece(RingBench.Data, 3));
        bench.Driver.Publish();

        Chain chain = bench.Device.Pop();

        Assert.Equal([4, 5, 6, 1, 2, 3], bench.Contents(in chain));
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void The_direction_of_the_descriptor_that_names_a_table_means_nothing(RingFormat format)
    {
        using var bench = new RingBench(format, Size);
        bench.Driver.WriteTable(RingBench.Tables, new RawDescriptor(RingBench.Data, 8));
        bench.Driver.AddRaw(new RawDescriptor(RingBench.Tables, 16, Indirect | Write));
        bench.Driver.Publish();

        Assert.Equal(8UL, bench.Device.Pop(deviceWrites: false).Length);
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void A_table_of_more_entries_than_any_ring_is_walked_for_a_bounded_time(RingFormat format)
    {
        using var bench = new RingBench(format, Size);
        const int entries = (int)(RingBench.TablesSize / 16);
        var table = new RawDescriptor[entries];
        Array.Fill(table, new RawDescriptor(RingBench.Data, 0, format == RingFormat.Split ? Next : 0));
        for (int i = 0; i < entries; i++)
        {
            table[i] = table[i] with { Next = (ushort)(i + 1) };
        }

        bench.Driver.WriteTable(RingBench.Tables, table);
        bench.Driver.AddRaw(new RawDescriptor(RingBench.Tables, (uint)RingBench.TablesSize, Indirect));

        ExpectBadThenGood(bench);
    }

    private static void ExpectBadTransmit(RingFormat format, params RawDescriptor[] chain)
    {
        using var bench = new RingBench(format, Size);
        bench.Driver.AddRaw(chain);
        ExpectBadThenGood(bench);
    }

    /// <summary>The chain added last is bad; the one added now is not.</summary>
    internal static void ExpectBadThenGood(RingBench bench, bool deviceWrites = false)
    {
        bench.Driver.Add(new Piece(RingBench.Data, 8, deviceWrites));
        bench.Driver.Publish();

        Assert.Equal(PopStatus.BadChain, bench.Device.TryPop(deviceWrites, out Chain bad));
        Assert.Equal((PopStatus.BadChain, 0, 0UL), (bad.Status, bad.VectorCount, bad.Length));
        Assert.Equal(0, bench.Device.Space.Used);
        Chain good = bench.Device.Pop(deviceWrites);
        Assert.Equal(8UL, good.Length);

        bench.Device.Use(in bad, 0);
        bench.Device.Use(in good, deviceWrites ? 8U : 0);
        bench.Device.Publish();
        Assert.Equal([0U, deviceWrites ? 8U : 0], bench.Driver.Collect().Select(chain => chain.Length));
        Assert.Equal(0, bench.Driver.OutstandingChains);
    }

    private static unsafe ulong GuestAddress(RingBench bench, in Chain chain, int vector) =>
        bench.Device.Space.GuestAddresses[chain.FirstVector + vector];
}
