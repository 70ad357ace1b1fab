using Ringmaster.Native.Driver;

namespace Ringmaster.Native.Tests.Driver;

public sealed class DriverRingSpec : IDisposable
{
    private readonly GuestRam _ram = new(GuestRamOptions.OfSize(4));

    public static TheoryData<bool, int, bool> Formats => new()
    {
        { false, 2, false },
        { false, 8, false },
        { false, 256, true },
        { true, 2, false },
        { true, 7, false },
        { true, 256, true },
    };

    public void Dispose() => _ram.Dispose();

    [Theory]
    [MemberData(nameof(Formats))]
    public void The_device_sees_each_chain_as_it_was_added_and_each_comes_back_once(bool packed, int size, bool inOrder)
    {
        DriverRing ring = Make(packed, size, inOrder: inOrder);
        ModelDevice device = ModelDevice.For(_ram, ring);
        var random = new Random(size);
        var expected = new Queue<RingBuffer[]>();
        var inDevice = new List<SeenChain>();
        var outTokens = new HashSet<long>();
        long token = 0;
        for (int step = 0; step < 100_000; step++)
        {
            var chain = RandomChain(random, Math.Min(size, 5));
            if (random.Next(2) == 0 && ring.TryAdd(chain, token, random.Next(3) == 0))
            {
                expected.Enqueue(chain);
                outTokens.Add(token++);
            }

            ring.Publish();
            if (random.Next(2) == 0 && device.Pop() is { } seen)
            {
                Assert.Equal(expected.Dequeue(), seen.Buffers);
                inDevice.Add(seen);
            }

            if (random.Next(3) == 0 && inDevice.Count > 0)
            {
                int at = inOrder ? 0 : random.Next(inDevice.Count);
                device.Return([inDevice[at]], 0);
                inDevice.RemoveAt(at);
            }

            while (random.Next(2) == 0 && ring.TryCollect(out UsedChain used))
            {
                Assert.True(outTokens.Remove(used.Token), $"token {used.Token} came back twice");
            }
        }

        Assert.True(token > 20_000);
        Assert.Equal(ring.Outstanding, outTokens.Count);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void In_order_one_entry_returns_a_whole_batch_with_the_skipped_chains_taken_as_full(bool packed)
    {
        DriverRing ring = Make(packed, 8, inOrder: true);
        ModelDevice device = ModelDevice.For(_ram, ring);
        for (int round = 0; round < 50; round++)
        {
            for (int i = 0; i < 3; i++)
            {
                Assert.True(ring.TryAdd([new RingBuffer(64, 10, true), new RingBuffer(128, 20, true)], i));
            }

            ring.Publish();
            List<SeenChain> seen = [device.Pop()!, device.Pop()!, device.Pop()!];
            Assert.Null(device.Pop());
            device.Return(seen, 7, asBatch: true);
            Assert.Equal(new UsedChain(0, 30), Collect(ring));
            Assert.Equal(new UsedChain(1, 30), Collect(ring));
            Assert.Equal(new UsedChain(2, 7), Collect(ring));
            Assert.False(ring.TryCollect(out _));
            Assert.Equal(8, ring.FreeDescriptors);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Nothing_is_visible_before_publish(bool packed)
    {
        DriverRing ring = Make(packed, 8);
        ModelDevice device = ModelDevice.For(_ram, ring);
        Assert.True(ring.TryAdd([new RingBuffer(64, 10, false)], 1));
        Assert.True(ring.TryAdd([new RingBuffer(128, 10, false)], 2));
        Assert.Null(device.Pop());
        ring.Publish();
        Assert.Equal(64ul, device.Pop()!.Buffers[0].Address);
        Assert.Equal(128ul, device.Pop()!.Buffers[0].Address);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_full_ring_takes_nothing_more(bool packed)
    {
        DriverRing ring = Make(packed, 4);
        Assert.True(ring.TryAdd([new RingBuffer(64, 1, false), new RingBuffer(64, 1, false), new RingBuffer(64, 1, false)], 1));
        Assert.False(ring.TryAdd([new RingBuffer(64, 1, false), new RingBuffer(64, 1, false)], 2));
        Assert.True(ring.TryAdd([new RingBuffer(64, 1, false), new RingBuffer(64, 1, false)], 2, indirect: true));
        Assert.False(ring.TryAdd([new RingBuffer(64, 1, false)], 3));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_kick_is_wanted_unless_the_device_says_otherwise(bool packed)
    {
        DriverRing ring = Make(packed, 8);
        ModelDevice device = ModelDevice.For(_ram, ring);
        Assert.False(ring.Publish());
        Assert.True(AddAndPublish(ring));
        device.WantKicks(false);
        Assert.False(AddAndPublish(ring));
        device.WantKicks(true);
        Assert.True(AddAndPublish(ring));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void With_event_idx_a_kick_is_wanted_when_the_index_is_passed_also_across_the_wrap(bool packed)
    {
        DriverRing ring = Make(packed, 4, eventIdx: true);
        ModelDevice device = ModelDevice.For(_ram, ring);
        for (int round = 0; round < 70_000; round++)
        {
            device.WantKickAfter(1);
            Assert.False(AddAndPublish(ring));
            Assert.True(AddAndPublish(ring));
            Assert.False(AddAndPublish(ring));
            device.Return([device.Pop()!, device.Pop()!, device.Pop()!], 0);
            Collect(ring);
            Collect(ring);
            Collect(ring);
        }
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void Enabling_calls_tells_what_came_back_meanwhile(bool packed, bool eventIdx)
    {
        DriverRing ring = Make(packed, 8, eventIdx: eventIdx);
        ModelDevice device = ModelDevice.For(_ram, ring);
        AddAndPublish(ring);
        ring.DisableCalls();
        Assert.False(ring.EnableCalls());
        ring.DisableCalls();
        device.Return([device.Pop()!], 0);
        Assert.True(ring.EnableCalls());
        Collect(ring);
        Assert.False(ring.EnableCalls());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Calls_are_switched_where_the_device_looks(bool packed)
    {
        DriverRing ring = Make(packed, 8);
        ModelDevice device = ModelDevice.For(_ram, ring);
        ring.DisableCalls();
        Assert.False(device.CallsWanted);
        ring.EnableCalls();
        Assert.True(device.CallsWanted);
    }

    [Fact]
    public void Calls_can_be_put_off_until_several_chains_are_back()
    {
        DriverRing ring = Make(packed: false, 8, eventIdx: true);
        var device = new SplitModelDevice(_ram, ring);
        for (int i = 0; i < 4; i++)
        {
            AddAndPublish(ring);
        }

        Assert.False(ring.EnableCalls(after: 2));
        Assert.Equal(2, device.UsedEvent);
        device.Return([device.Pop()!, device.Pop()!], 0);
        Assert.False(ring.EnableCalls(after: 2));
        device.Return([device.Pop()!], 0);
        Assert.True(ring.EnableCalls(after: 2));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_chain_that_comes_back_twice_is_a_violation(bool packed)
    {
        DriverRing ring = Make(packed, 8);
        ModelDevice device = ModelDevice.For(_ram, ring);
        AddAndPublish(ring);
        AddAndPublish(ring);
        SeenChain seen = device.Pop()!;
        device.Return([seen], 0);
        Collect(ring);
        device.Return([seen], 0);
        Assert.Throws<RingViolationException>(() => ring.TryCollect(out _));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void More_bytes_than_are_writable_are_a_violation(bool packed)
    {
        DriverRing ring = Make(packed, 8);
        ModelDevice device = ModelDevice.For(_ram, ring);
        ring.TryAdd([new RingBuffer(64, 100, false), new RingBuffer(64, 10, true)], 1);
        ring.Publish();
        device.Return([device.Pop()!], 11);
        Assert.Throws<RingViolationException>(() => ring.TryCollect(out _));
    }

    [Fact]
    public void A_used_index_beyond_what_is_out_is_a_violation()
    {
        DriverRing ring = Make(packed: false, 8);
        AddAndPublish(ring);
        _ram.WriteU16(ring.Addresses.Device + 2, 2);
        Assert.Throws<RingViolationException>(() => ring.TryCollect(out _));
    }

    [Fact]
    public void A_batch_longer_than_the_used_index_tells_is_a_violation()
    {
        DriverRing ring = Make(packed: false, 8, inOrder: true);
        var device = new SplitModelDevice(_ram, ring);
        AddAndPublish(ring);
        AddAndPublish(ring);
        device.Pop();
        device.Return([device.Pop()!], 0);
        Assert.Throws<RingViolationException>(() => ring.TryCollect(out _));
    }

    [Fact]
    public void Raw_descriptors_stand_in_the_table_as_given_with_positions_turned_into_numbers()
    {
        DriverRing ring = Make(packed: false, 8);
        AddAndPublish(ring);
        RawDescriptor[] loop = [new(0xdead, 5, 1, 1), new(0xbeef, 6, 1, 0), new(1, 7, 1, 999)];
        Assert.True(ring.TryAddRaw(loop, 4));
        ring.Publish();
        ulong second = ring.Addresses.Descriptors + (16 * 2);
        Assert.Equal(0xbeeful, _ram.ReadU64(second));
        Assert.Equal(6u, _ram.ReadU32(second + 8));
        Assert.Equal(1, _ram.ReadU16(second + 14));
        Assert.Equal(999, _ram.ReadU16(second + 16 + 14));
        Assert.Equal(4, ring.FreeDescriptors);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_renewed_ring_is_empty_and_lies_where_the_old_one_lay(bool packed)
    {
        DriverRing old = Make(packed, 8);
        AddAndPublish(old);
        DriverRing ring = old.Renew();
        ModelDevice device = ModelDevice.For(_ram, ring);
        Assert.Equal(old.Addresses, ring.Addresses);
        Assert.Null(device.Pop());
        AddAndPublish(ring);
        Assert.NotNull(device.Pop());
    }

    [Fact]
    public void The_base_of_a_split_ring_is_the_first_chain_not_returned()
    {
        DriverRing ring = Make(packed: false, 8);
        ModelDevice device = ModelDevice.For(_ram, ring);
        AddAndPublish(ring);
        AddAndPublish(ring);
        device.Return([device.Pop()!], 0);
        Assert.Equal(1u, ring.Base);
        Assert.Equal(2u, ring.PublishedBase);
    }

    [Fact]
    public void The_base_of_a_packed_ring_holds_two_positions_with_their_wrap_counters()
    {
        DriverRing ring = Make(packed: true, 2);
        ModelDevice device = ModelDevice.For(_ram, ring);
        Assert.Equal(0x8000_8000u, ring.Base);
        AddAndPublish(ring);
        AddAndPublish(ring);
        device.Return([device.Pop()!], 0);
        Collect(ring);
        Assert.Equal(0x8001_8001u, ring.Base);
        Assert.Equal(0u, ring.PublishedBase);
    }

    private static RingBuffer[] RandomChain(Random random, int most)
    {
        var chain = new RingBuffer[1 + random.Next(most)];
        int writableFrom = random.Next(chain.Length + 1);
        for (int i = 0; i < chain.Length; i++)
        {
            chain[i] = new RingBuffer((ulong)random.Next(1 << 20), (uint)random.Next(1, 5000), i >= writableFrom);
        }

        return chain;
    }

    private static bool AddAndPublish(DriverRing ring)
    {
        Assert.True(ring.TryAdd([new RingBuffer(64, 100, false)], ring.Added));
        return ring.Publish();
    }

    private static UsedChain Collect(DriverRing ring)
    {
        Assert.True(ring.TryCollect(out UsedChain used));
        return used;
    }

    private DriverRing Make(bool packed, int size, bool inOrder = false, bool eventIdx = false) => DriverRing.Create(
        _ram,
        new DriverRingOptions { Size = size, Packed = packed, InOrder = inOrder, EventIdx = eventIdx, IndirectEntries = 8 });
}
