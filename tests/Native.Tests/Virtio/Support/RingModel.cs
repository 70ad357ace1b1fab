using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>
/// A ring next to the model of it: chains that the device has not popped, and chains that the driver has not taken back.
/// Both sides run in turn on one thread, so every notification that a side is owed can be demanded exactly.
/// </summary>
/// <remarks>
/// Slots are counted from the ring's first, in the numbers that its events have: a split ring's index, a packed ring's place
/// in its two laps.
/// </remarks>
internal sealed class RingModel
{
    private readonly RingFormat _format;
    private readonly bool _receive;
    private readonly ModelCase _ring;
    private readonly bool _eventIndex;
    private readonly Queue<ModelChain> _available = [];
    private readonly Queue<ModelChain> _returned = [];
    private readonly ModelNotifications _kicks;
    private readonly ModelNotifications _calls;
    private readonly ushort _start;
    private long _added;
    private long _used;
    private bool _called;

    internal RingModel(RingFormat format, bool receive, ModelCase ring)
    {
        _format = format;
        _receive = receive;
        _ring = ring;
        _eventIndex = ring.Features.HasFlag(VirtioFeatures.EventIdx);
        var random = new Random((int)ring.Seed);
        bool packed = format == RingFormat.Packed;
        _start = packed
            ? (ushort)(random.Next(ring.Size) | (random.Next(2) << 15))
            : (ushort)(65_536 - random.Next(3 * ring.Size));
        int place = _start & 0x7fff;
        _added = _used = packed ? (_start == place ? place + ring.Size : place) : _start;

        // Memory that nobody wrote to holds no flags; an event index in it is 0.
        long period = packed ? 2 * ring.Size : 65_536;
        Wish first = _eventIndex && !packed ? Wish.AtSlot : Wish.Always;
        _kicks = new ModelNotifications(period, first);
        _calls = new ModelNotifications(period, first);
    }

    /// <summary>With EVENT_IDX a split ring has no flags: a side that wants nothing just leaves its index behind.</summary>
    private bool CanRefuse => _format == RingFormat.Packed || !_eventIndex;

    /// <summary>Takes all the steps, then drains the ring.</summary>
    internal void Run()
    {
        using var bench = new RingBench(_format, _ring.Size, _ring.Features, _start, ModelChains.NeedsWide(_ring.Size));
        var chains = new ModelChains(bench, _format, _receive, new Random((int)_ring.Seed));
        foreach (ModelStep step in _ring.Steps)
        {
            Take(bench, chains, step);
        }

        while (_available.Count > 0)
        {
            MoveBatch(bench, _ring.Size, new Random(1), mayRewind: false);
        }

        Collect(bench);
        Assert.Equal(0, bench.Driver.OutstandingChains);
        Assert.Equal(_ring.Size, bench.Driver.FreeSlots);
    }

    private void Take(RingBench bench, ModelChains chains, ModelStep step)
    {
        var random = new Random((int)step.Seed);
        switch (step.Action)
        {
            case ModelAction.DriverAdds:
                Add(bench, chains, step.Count, random);
                break;
            case ModelAction.DeviceMovesBatch:
                MoveBatch(bench, step.Count, random, mayRewind: true);
                break;
            case ModelAction.DriverCollects:
                Collect(bench);
                break;
            case ModelAction.DeviceRestarts:
                Restart(bench, step.Count);
                break;
            case ModelAction.DeviceReattaches:
                Assert.Null(bench.Device.TryReattach(bench.Plan with { Base = 0 }, bench.Memory.View));
                break;
            case ModelAction.DeviceWantsKicks:
                WantKicks(bench, ahead: random.Next((int)(_added - _used) + 1));
                break;
            case ModelAction.DeviceRefusesKicks:
                bench.Device.SuppressKicks();
                Refuse(_kicks);
                break;
            case ModelAction.DriverWantsCalls:
                WantCalls(bench, after: random.Next(Math.Min(_ring.Size, (int)(_added - _used) + 2) + 1));
                break;
            case ModelAction.DriverRefusesCalls:
                bench.Driver.RefuseCalls();
                Refuse(_calls);
                break;
        }
    }

    private void WantKicks(RingBench bench, int ahead)
    {
        Assert.Equal(_added - _used > ahead, bench.Device.RequestKicks(ahead));
        _kicks.Set(_eventIndex ? Wish.AtSlot : Wish.Always, _used + ahead);
    }

    private void WantCalls(RingBench bench, int after)
    {
        Collect(bench);
        bench.Driver.WantCalls(after);
        _calls.Set(_eventIndex ? Wish.AtSlot : Wish.Always, _used + after);
    }

    private void Refuse(ModelNotifications notifications)
    {
        if (CanRefuse)
        {
            notifications.Set(Wish.Never);
        }
    }

    private void Add(RingBench bench, ModelChains chains, int count, Random random)
    {
        long before = _added;
        for (int i = 0; i < count && bench.Driver.FreeSlots > 0; i++)
        {
            ModelChain chain = chains.Add(random);
            _available.Enqueue(chain);
            _added += chain.Slots;
        }

        bench.Driver.Publish();
        if (_added > before)
        {
            Assert.Equal(_kicks.Owed(before, _added), bench.Driver.MustKick());
        }
    }

    private void MoveBatch(RingBench bench, int count, Random random, bool mayRewind)
    {
        bench.Device.Space.Truncate(0);
        List<Chain> popped = [];
        Pop(bench, popped, count);
        if (mayRewind && random.Next(3) == 0)
        {
            Rewind(bench, popped, random.Next(popped.Count + 1));
            Pop(bench, popped, random.Next(count + 1));
        }

        if (mayRewind)
        {
            Rewind(bench, popped, random.Next(popped.Count + 1));
        }

        long before = _used;
        Use(bench, popped, random);
        bench.Device.Publish();
        CheckCall(bench.Device.MustCall(), before);
    }

    private void Use(RingBench bench, List<Chain> popped, Random random)
    {
        foreach (Chain chain in popped)
        {
            ModelChain expected = _available.Dequeue();
            byte[] written = new byte[_receive && !expected.Bad ? random.Next((int)chain.Length + 1) : 0];
            random.NextBytes(written);
            bench.Fill(in chain, written);
            written.CopyTo(expected.Contents.AsSpan());
            _returned.Enqueue(expected with { Written = (uint)written.Length });
            _used += expected.Slots;
            if (_receive)
            {
                bench.Device.Use(in chain, (uint)written.Length);
            }
        }

        if (!_receive)
        {
            bench.Device.UseUnwritten(popped.ToArray());
        }
    }

    /// <summary>The first call after an attach comes in any case, unless the driver's flags refuse it.</summary>
    private void CheckCall(bool called, long before)
    {
        if (_called || _used > before)
        {
            Assert.Equal(_called ? _calls.Owed(before, _used) : !_calls.Refused, called);
        }

        _called = true;
    }

    /// <summary>Pops what the model says is there, and compares; at most as many as one batch has room for.</summary>
    private void Pop(RingBench bench, List<Chain> popped, int count)
    {
        bench.Device.Prefetch(count, 256);
        foreach (ModelChain expected in _available.Skip(popped.Count).Take(count).TakeWhile(_ => bench.Device.Space.HasRoom))
        {
            Assert.True(bench.Device.HasWork);
            PopStatus status = bench.Device.TryPop(_receive, out Chain chain);
            Assert.Equal(expected.Bad ? PopStatus.BadChain : PopStatus.Popped, status);
            Assert.Equal(status, chain.Status);
            Assert.Equal(expected.Contents, bench.Contents(in chain));
            Assert.Equal((ulong)expected.Contents.Length, chain.Length);
            Assert.Equal(expected.Slots, chain.Slots);
            popped.Add(chain);
        }

        if (popped.Count == _available.Count)
        {
            Assert.False(bench.Device.HasWork);
            Assert.Equal(PopStatus.Empty, bench.Device.TryPop(_receive, out _));
        }
    }

    /// <summary>Puts all chains from one on back on the ring.</summary>
    private static void Rewind(RingBench bench, List<Chain> popped, int from)
    {
        if (from < popped.Count)
        {
            bench.Device.Space.Truncate(popped[from].FirstVector);
        }

        bench.Device.Rewind(popped.Skip(from).Sum(chain => chain.Slots));
        popped.RemoveRange(from, popped.Count - from);
    }

    private void Collect(RingBench bench)
    {
        foreach (Returned chain in bench.Driver.Collect())
        {
            ModelChain expected = _returned.Dequeue();
            Assert.Equal(expected.Pieces, chain.Pieces);
            Assert.Equal(expected.Written, chain.Length);
            Assert.Equal(
                expected.Contents, chain.Pieces.SelectMany(piece => bench.Memory.Read(piece.Address, (int)piece.Length)));
        }

        Assert.Empty(_returned);
    }

    /// <summary>A worker that fails in the middle of a batch: what it did not publish never happened.</summary>
    private void Restart(RingBench bench, int count)
    {
        bench.Device.Space.Truncate(0);
        List<Chain> popped = [];
        Pop(bench, popped, count);
        popped.ForEach(chain => bench.Device.Use(in chain, 0));
        bench.Restart();
        _called = false;
    }
}
