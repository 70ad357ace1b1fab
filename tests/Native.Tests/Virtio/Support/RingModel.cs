using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>
/// A ring next to the model of it: chains that the device has not popped, and chains that the driver has not taken back.
/// Both sides run in turn on one thread, so every notification that a side is owed can be demanded exactly.
/// </summary>
internal sealed class RingModel(RingFormat format, bool receive, ModelCase ring)
{
    private const int LongestChain = 6;
    private const int LongestBuffer = 40;
    private readonly Queue<ModelChain> _available = [];
    private readonly Queue<ModelChain> _returned = [];
    private readonly Random _random = new((int)ring.Seed);
    private ulong _nextBuffer;
    private ulong _nextTable;
    private bool? _kickOwed;
    private bool? _callOwed;

    /// <summary>Takes all the steps, then drains the ring.</summary>
    internal void Run()
    {
        using var bench = new RingBench(format, ring.Size, ring.Features, Start());

        // Just before the border between the two regions, so that buffers and tables soon lie across it.
        _nextBuffer = RingBench.SecondData - (ulong)_random.Next(1500);
        _nextTable = RingBench.Tables;
        foreach (ModelStep step in ring.Steps)
        {
            Take(bench, step);
        }

        while (_available.Count > 0)
        {
            MoveBatch(bench, ring.Size, new Random(1), mayRewind: false);
        }

        Collect(bench);
        Assert.Equal(0, bench.Driver.OutstandingChains);
        Assert.Equal(ring.Size, bench.Driver.FreeSlots);
    }

    private void Take(RingBench bench, ModelStep step)
    {
        var random = new Random((int)step.Seed);
        switch (step.Action)
        {
            case ModelAction.DriverAdds:
                Add(bench, step.Count, random);
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
            case ModelAction.DeviceWantsKicks:
                _kickOwed = !bench.Device.RequestKicks(0) ? true : null;
                Assert.Equal(_available.Count == 0, _kickOwed.HasValue);
                break;
            case ModelAction.DeviceRefusesKicks:
                bench.Device.SuppressKicks();
                _kickOwed = CanRefuse ? false : null;
                break;
            case ModelAction.DriverWantsCalls:
                Collect(bench);
                bench.Driver.WantCalls();
                _callOwed = true;
                break;
            case ModelAction.DriverRefusesCalls:
                bench.Driver.RefuseCalls();
                _callOwed = CanRefuse ? false : null;
                break;
        }
    }

    /// <summary>With EVENT_IDX a split ring has no flags: a side that wants nothing just leaves its index behind.</summary>
    private bool CanRefuse => format == RingFormat.Packed || !ring.Features.HasFlag(VirtioFeatures.EventIdx);

    private ushort Start() => format == RingFormat.Split
        ? (ushort)(65_536 - _random.Next(3 * ring.Size))
        : (ushort)(_random.Next(ring.Size) | (_random.Next(2) << 15));

    private void Add(RingBench bench, int count, Random random)
    {
        int added = 0;
        for (; added < count && bench.Driver.FreeSlots > 0; added++)
        {
            bool indirect = random.Next(3) == 0;
            Piece[] pieces = new Piece[1 + random.Next(indirect ? LongestChain : Math.Min(LongestChain, bench.Driver.FreeSlots))];
            for (int i = 0; i < pieces.Length; i++)
            {
                pieces[i] = new Piece(Allocate(random), (uint)random.Next(LongestBuffer), receive);
            }

            byte[] contents = new byte[pieces.Sum(piece => piece.Length)];
            random.NextBytes(contents);
            Scatter(bench, pieces, contents);
            _available.Enqueue(new ModelChain(pieces, contents));
            if (indirect)
            {
                bench.Driver.AddIndirect(AllocateTable(random), pieces);
            }
            else
            {
                bench.Driver.Add(pieces);
            }
        }

        bench.Driver.Publish();
        if (added > 0 && _kickOwed is bool owed)
        {
            Assert.Equal(owed, bench.Driver.MustKick());
            _kickOwed = owed && ring.Features.HasFlag(VirtioFeatures.EventIdx) ? null : owed;
        }
    }

    private void MoveBatch(RingBench bench, int count, Random random, bool mayRewind)
    {
        List<Chain> popped = Pop(bench, count);
        int keep = mayRewind ? random.Next(popped.Count + 1) : popped.Count;
        bench.Device.Rewind(popped.Skip(keep).Sum(chain => chain.Slots));
        for (int i = 0; i < keep; i++)
        {
            ModelChain expected = _available.Dequeue();
            byte[] written = new byte[receive ? random.Next((int)popped[i].Length + 1) : 0];
            random.NextBytes(written);
            Chain chain = popped[i];
            bench.Fill(in chain, written);
            written.CopyTo(expected.Contents.AsSpan());
            _returned.Enqueue(expected with { Written = (uint)written.Length });
            if (receive)
            {
                bench.Device.Use(in chain, (uint)written.Length);
            }
        }

        if (!receive)
        {
            bench.Device.UseUnwritten(popped.Take(keep).ToArray());
        }

        bench.Device.Publish();
        bool call = bench.Device.MustCall();
        if (keep > 0 && _callOwed is bool owed)
        {
            Assert.Equal(owed, call);
            _callOwed = owed && ring.Features.HasFlag(VirtioFeatures.EventIdx) ? null : owed;
        }
    }

    /// <summary>Pops what the model says is there, and compares.</summary>
    private List<Chain> Pop(RingBench bench, int count)
    {
        List<Chain> popped = [];
        bench.Device.Space.Truncate(0);
        foreach (ModelChain expected in _available.Take(count))
        {
            Assert.True(bench.Device.HasWork);
            Chain chain = bench.Device.Pop(receive);
            Assert.Equal(expected.Contents, bench.Contents(in chain));
            Assert.Equal((ulong)expected.Contents.Length, chain.Length);
            popped.Add(chain);
        }

        if (popped.Count == _available.Count)
        {
            Assert.False(bench.Device.HasWork);
            Assert.Equal(PopStatus.Empty, bench.Device.TryPop(receive, out _));
        }

        return popped;
    }

    private void Collect(RingBench bench)
    {
        foreach (Returned chain in bench.Driver.Collect())
        {
            ModelChain expected = _returned.Dequeue();
            Assert.Equal(expected.Pieces, chain.Pieces);
            Assert.Equal(expected.Written, chain.Length);
            Assert.Equal(
                expected.Contents,
                chain.Pieces.SelectMany(piece => bench.Memory.Read(piece.Address, (int)piece.Length)));
        }

        Assert.Empty(_returned);
    }

    /// <summary>A worker that fails in the middle of a batch: what it did not publish never happened.</summary>
    private void Restart(RingBench bench, int count)
    {
        foreach (Chain chain in Pop(bench, count))
        {
            bench.Device.Use(in chain, 0);
        }

        bench.Restart();

        // A new worker calls once for its first batch in any case, and has not asked for kicks.
        _callOwed = _callOwed == true ? true : null;
        _kickOwed = null;
    }

    private static void Scatter(RingBench bench, Piece[] pieces, ReadOnlySpan<byte> contents)
    {
        foreach (Piece piece in pieces)
        {
            bench.Memory.Write(piece.Address, contents[..(int)piece.Length]);
            contents = contents[(int)piece.Length..];
        }
    }

    /// <summary>Room for a buffer. It is given out again only after far more than all that can be outstanding.</summary>
    private ulong Allocate(Random random)
    {
        ulong at = _nextBuffer + (ulong)(random.Next(3) == 0 ? 0 : random.Next(8));
        if (at + LongestBuffer > RingBench.DataEnd)
        {
            at = RingBench.Data;
        }

        _nextBuffer = at + LongestBuffer;
        return at;
    }

    private ulong AllocateTable(Random random)
    {
        ulong at = _nextTable + (ulong)random.Next(20);
        if (at + (16 * LongestChain) > RingBench.Tables + RingBench.TablesSize)
        {
            at = RingBench.Tables;
        }

        _nextTable = at + (16 * LongestChain);
        return at;
    }

    private sealed record ModelChain(Piece[] Pieces, byte[] Contents)
    {
        internal uint Written { get; init; }
    }
}
