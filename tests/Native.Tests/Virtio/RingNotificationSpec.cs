using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>Who wakes whom: suppression by flag and by EVENT_IDX, kicks and calls, over the places where indices wrap.</summary>
public sealed unsafe class RingNotificationSpec
{
    private const VirtioFeatures EventIndex = RingBench.AllFeatures | VirtioFeatures.EventIdx;

    public static TheoryData<RingFormat, int, ushort> Wraps => new()
    {
        { RingFormat.Split, 8, 0 },
        { RingFormat.Split, 8, 65_530 },
        { RingFormat.Split, 32_768, 65_530 },
        { RingFormat.Packed, 8, 0x8000 },
        { RingFormat.Packed, 8, 0x8006 },
        { RingFormat.Packed, 7, 0x0005 },
        { RingFormat.Packed, 32_768, 0x7ffd },
    };

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void Kicks_are_suppressed_and_asked_for_by_flag(RingFormat format)
    {
        using var bench = new RingBench(format, 8);
        bench.Device.SuppressKicks();
        Add(bench, 1);
        Assert.False(bench.Driver.MustKick());
        Pass(bench, 1);

        Assert.False(bench.Device.RequestKicks(0));

        Add(bench, 1);
        Assert.True(bench.Driver.MustKick());
        Add(bench, 1);
        Assert.True(bench.Driver.MustKick());
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void Calls_are_suppressed_and_asked_for_by_flag(RingFormat format)
    {
        using var bench = new RingBench(format, 8);
        bench.Driver.RefuseCalls();
        Add(bench, 4);
        Assert.False(Pass(bench, 1));
        Assert.False(Pass(bench, 1));

        bench.Driver.WantCalls();

        Assert.True(Pass(bench, 1));
        Assert.True(Pass(bench, 1));
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void Nothing_published_is_nothing_to_call_for(RingFormat format)
    {
        using var bench = new RingBench(format, 8);
        bench.Driver.WantCalls();
        Add(bench, 1);
        Assert.True(Pass(bench, 1));

        bench.Device.Publish();

        Assert.False(bench.Device.MustCall());
    }

    [Theory]
    [MemberData(nameof(Wraps))]
    public void With_event_idx_the_driver_kicks_once_at_the_chain_that_was_asked_for(RingFormat format, int size, ushort start)
    {
        using var bench = new RingBench(format, size, EventIndex, start);
        for (int round = 0; round < 40; round++)
        {
            int ahead = round % 4;
            Assert.False(bench.Device.RequestKicks(ahead));
            for (int i = 0; i < 5; i++)
            {
                Add(bench, 1);
                Assert.Equal(i == ahead, bench.Driver.MustKick());
            }

            Pass(bench, 5);
        }
    }

    [Theory]
    [MemberData(nameof(Wraps))]
    public void With_event_idx_a_batch_is_kicked_for_when_it_crosses_the_chain_that_was_asked_for(
        RingFormat format, int size, ushort start)
    {
        using var bench = new RingBench(format, size, EventIndex, start);
        for (int round = 0; round < 40; round++)
        {
            int ahead = round % 5;
            bench.Device.RequestKicks(ahead);
            Add(bench, 3);
            Assert.Equal(ahead < 3, bench.Driver.MustKick());
            Pass(bench, 3);
        }
    }

    [Theory]
    [MemberData(nameof(Wraps))]
    public void With_event_idx_the_device_calls_once_at_the_chain_that_was_asked_for(RingFormat format, int size, ushort start)
    {
        using var bench = new RingBench(format, size, EventIndex, start);
        Add(bench, 1);
        Pass(bench, 1); // the first call after a start may be one too many
        for (int round = 0; round < 40; round++)
        {
            int after = round % 5;
            int batch = 1 + (round % 3);
            bench.Driver.Collect();
            bench.Driver.WantCalls(after);
            Add(bench, 2 * batch);
            Assert.Equal(after < batch, Pass(bench, batch));
            Assert.Equal(after >= batch && after < 2 * batch, Pass(bench, batch));
        }
    }

    [Theory]
    [MemberData(nameof(Wraps))]
    public void Work_that_is_there_when_kicks_are_asked_for_is_reported(RingFormat format, int size, ushort start)
    {
        using var bench = new RingBench(format, size, EventIndex, start);
        for (int round = 0; round < 20; round++)
        {
            Assert.False(bench.Device.HasWork);
            Add(bench, 2);
            Assert.True(bench.Device.HasWork);
            Assert.True(bench.Device.RequestKicks(0));
            Assert.True(bench.Device.RequestKicks(1));
            Assert.False(bench.Device.RequestKicks(2));
            Pass(bench, 2);
        }
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void The_first_batch_after_a_start_is_called_for_even_if_the_event_index_lies_elsewhere(RingFormat format)
    {
        using var bench = new RingBench(format, 8, EventIndex);
        bench.Driver.WantCalls(5);
        Add(bench, 2);
        Assert.True(Pass(bench, 1));
        Assert.False(Pass(bench, 1));

        bench.Restart();

        Add(bench, 1);
        Assert.True(Pass(bench, 1));
    }

    [Theory]
    [InlineData(VirtioFeatures.None, 2, 3)]
    [InlineData(VirtioFeatures.None, 3, 0)]
    [InlineData(VirtioFeatures.EventIdx, 3, 0)]
    [InlineData(VirtioFeatures.EventIdx, 2, 0x7fff)]
    [InlineData(VirtioFeatures.EventIdx, 2, 0xffff)]
    public void A_wish_for_calls_that_makes_no_sense_is_taken_as_a_wish_for_all(
        VirtioFeatures feature, ushort mode, ushort position)
    {
        using var bench = new RingBench(RingFormat.Packed, 8, RingBench.AllFeatures | feature);
        Add(bench, 2);
        Pass(bench, 1);
        ushort* wish = (ushort*)bench.Memory.At(bench.Plan.DriverAddress - GuardedMemory.UserBase);
        wish[0] = position;
        wish[1] = mode;

        Assert.True(Pass(bench, 1));
    }

    private static void Add(RingBench bench, int chains)
    {
        for (int i = 0; i < chains; i++)
        {
            bench.Driver.Add(new Piece(RingBench.Data, 8));
        }

        bench.Driver.Publish();
    }

    /// <summary>Takes and returns chains as one batch; gives whether the driver must be called.</summary>
    private static bool Pass(RingBench bench, int chains)
    {
        for (int i = 0; i < chains; i++)
        {
            Chain chain = bench.Device.Pop();
            bench.Device.Use(in chain, 0);
        }

        bench.Device.Publish();
        bench.Device.Space.Truncate(0);
        bool call = bench.Device.MustCall();
        if (bench.Driver.FreeSlots < bench.Plan.Size / 2)
        {
            bench.Driver.Collect();
        }

        return call;
    }
}
