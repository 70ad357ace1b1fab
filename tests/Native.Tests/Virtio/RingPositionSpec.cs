using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>Where a ring stands: rewinding, handing over to another worker, changes while it runs.</summary>
public sealed class RingPositionSpec
{
    [Theory]
    [InlineData(RingFormat.Split, 4, 65_535)]
    [InlineData(RingFormat.Packed, 4, 0x8003)]
    [InlineData(RingFormat.Packed, 5, 0x0003)]
    public void Chains_that_are_put_back_are_popped_again_in_the_same_order(RingFormat format, int size, ushort start)
    {
        using var bench = new RingBench(format, size, start: start);
        bench.Driver.Add(new Piece(RingBench.Data, 1));
        bench.Driver.Add(new Piece(RingBench.Data, 2), new Piece(RingBench.Data, 2));
        bench.Driver.Add(new Piece(RingBench.Data, 3));
        bench.Driver.Publish();
        Chain first = bench.Device.Pop();
        Chain second = bench.Device.Pop();
        Chain third = bench.Device.Pop();

        bench.Device.Rewind(second.Slots + third.Slots);
        bench.Device.Return(in first);

        Assert.True(bench.Device.HasWork);
        Assert.Equal((second.Id, 4UL), (bench.Device.Pop() is var again ? again.Id : default, again.Length));
        Assert.Equal(third.Id, bench.Device.Pop().Id);
        Assert.Equal(PopStatus.Empty, bench.Device.TryPop(false, out _));
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void What_was_used_and_not_published_is_taken_up_again_by_the_next_worker(RingFormat format)
    {
        using var bench = new RingBench(format, 8);
        bench.Driver.Add(new Piece(RingBench.Data, 7, true), new Piece(RingBench.Data + 100, 7, true));
        bench.Driver.Add(new Piece(RingBench.Data, 9, true));
        bench.Driver.Publish();
        uint position = bench.Device.Base;
        Chain lost = bench.Device.Pop(deviceWrites: true);
        bench.Device.Use(in lost, 3);
        Assert.Equal(position, bench.Device.Base);

        bench.Restart();

        Chain again = bench.Device.Pop(deviceWrites: true);
        Assert.Equal((lost.Id, 14UL), (again.Id, again.Length));
        bench.Device.Return(in again, 14);
        Assert.Equal(14U, Assert.Single(bench.Driver.Collect()).Length);
    }

    [Theory]
    [InlineData(RingFormat.Split, 4, 65_534)]
    [InlineData(RingFormat.Packed, 3, 0x8000)]
    [InlineData(RingFormat.Packed, 1, 0x0000)]
    public void Another_worker_can_take_over_after_every_chain(RingFormat format, int size, ushort start)
    {
        using var bench = new RingBench(format, size, start: start);
        for (uint i = 1; i < 50; i++)
        {
            bench.Driver.Add(new Piece(RingBench.Data, i));
            bench.Driver.Publish();
            Chain chain = bench.Device.Pop();
            Assert.Equal(i, chain.Length);
            bench.Device.Return(in chain);
            bench.Restart();
            Assert.Single(bench.Driver.Collect());
        }
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void A_ring_goes_on_where_it_stands_when_memory_or_features_change(RingFormat format)
    {
        using var bench = new RingBench(format, 4);
        bench.Driver.Add(new Piece(RingBench.Data, 1));
        bench.Driver.Add(new Piece(RingBench.Data, 2));
        bench.Driver.AddIndirect(RingBench.Tables, new Piece(RingBench.Data, 3));
        bench.Driver.Publish();
        Chain first = bench.Device.Pop();
        bench.Device.Return(in first);

        RingPlan changed = bench.Plan with { Features = bench.Plan.Features & ~VirtioFeatures.IndirectDesc, Base = 0x7777_7777 };
        Assert.Null(bench.Device.TryReattach(changed, bench.Memory.View));

        Assert.Equal(2UL, bench.Device.Pop().Length);
        Assert.Equal(PopStatus.BadChain, bench.Device.TryPop(false, out _));
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void A_change_that_cannot_be_is_refused_and_changes_nothing(RingFormat format)
    {
        using var bench = new RingBench(format, 4);
        RingPlan plan = bench.Plan;

        Assert.NotNull(bench.Device.TryReattach(plan with { Size = 2 }, bench.Memory.View));
        VirtioFeatures otherFormat = plan.Features ^ VirtioFeatures.RingPacked;
        Assert.NotNull(bench.Device.TryReattach(plan with { Features = otherFormat }, bench.Memory.View));
        Assert.NotNull(bench.Device.TryReattach(plan, new GuestView(GuestMemory.Empty, null)));

        bench.Driver.Add(new Piece(RingBench.Data, 1));
        bench.Driver.Publish();
        Assert.Equal(1UL, bench.Device.Pop().Length);
    }

    [Fact]
    public void With_in_order_one_used_element_returns_a_whole_transmit_batch_of_a_split_ring()
    {
        using var bench = new RingBench(RingFormat.Split, 4, RingBench.AllFeatures | VirtioFeatures.InOrder, start: 65_534);
        for (int i = 0; i < 3; i++)
        {
            bench.Driver.Add(new Piece(RingBench.Data, 8));
        }

        bench.Driver.Publish();
        ulong elements = bench.Plan.DeviceAddress - GuardedMemory.UserBase + 4;

        bench.Device.UseUnwritten([bench.Device.Pop(), bench.Device.Pop(), bench.Device.Pop()]);
        bench.Device.Publish();

        Assert.Equal(1U, bench.Device.Base);
        Assert.Equal(new byte[16], bench.Memory.Read(elements, 16));
        Assert.Equal([2, 0, 0, 0, 0, 0, 0, 0], bench.Memory.Read(elements + 16, 8));
        Assert.Equal(3, bench.Driver.Collect().Count);
    }
}
