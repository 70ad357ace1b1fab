using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>A chain as it was put on the ring. A bad one has no pieces that count.</summary>
internal sealed record ModelChain(Piece[] Pieces, byte[] Contents, int Slots, bool Bad)
{
    internal uint Written { get; init; }
}

/// <summary>
/// Puts random chains on a ring: buffers of any length, at any alignment, across the border of two regions; direct or by an
/// indirect table; and now and then one that breaks a rule and must cost the guest that chain alone.
/// </summary>
internal sealed class ModelChains
{
    private const int LongestChain = 6;
    private const int LongestBuffer = 40;
    private const int BadOneIn = 12;
    private const int WideFrom = 64;
    private readonly RingBench _bench;
    private readonly bool _packed;
    private readonly bool _receive;
    private readonly (ulong Start, ulong End) _data;
    private readonly (ulong Start, ulong End) _tables;
    private ulong _nextBuffer;
    private ulong _nextTable;

    internal ModelChains(RingBench bench, RingFormat format, bool receive, Random random)
    {
        bool wide = NeedsWide(bench.Plan.Size);
        _bench = bench;
        _packed = format == RingFormat.Packed;
        _receive = receive;
        _data = wide
            ? (RingBench.WideData, RingBench.WideSecondData + RingBench.WideSize)
            : (RingBench.Data, RingBench.DataEnd);
        _tables = wide
            ? (RingBench.WideTables, RingBench.WideTables + RingBench.WideSize)
            : (RingBench.Tables, RingBench.Tables + RingBench.TablesSize);

        // Just before the border between the two regions, so that buffers soon lie across it.
        _nextBuffer = ((_data.Start + _data.End) / 2) - (ulong)random.Next(1500);
        _nextTable = _tables.Start;
    }

    /// <summary>Whether all chains of such a ring have room in the wide regions alone.</summary>
    internal static bool NeedsWide(int size) => size > WideFrom;

    /// <summary>Adds one chain; at least one slot must be free.</summary>
    internal ModelChain Add(Random random)
    {
        if (random.Next(BadOneIn) == 0)
        {
            return AddBad(random);
        }

        bool indirect = random.Next(3) == 0;
        Piece[] pieces = new Piece[1 + random.Next(indirect ? LongestChain : Math.Min(LongestChain, _bench.Driver.FreeSlots))];
        for (int i = 0; i < pieces.Length; i++)
        {
            pieces[i] = new Piece(Allocate(random), (uint)random.Next(LongestBuffer), _receive);
        }

        byte[] contents = new byte[pieces.Sum(piece => piece.Length)];
        random.NextBytes(contents);
        Scatter(pieces, contents);
        if (indirect)
        {
            _bench.Driver.AddIndirect(AllocateTable(random), pieces);
        }
        else
        {
            _bench.Driver.Add(pieces);
        }

        return new ModelChain(pieces, contents, _packed && !indirect ? pieces.Length : 1, Bad: false);
    }

    private ModelChain AddBad(Random random)
    {
        RawDescriptor good = new(Allocate(random), 8, _receive ? DescriptorFlags.Write : 0);
        RawDescriptor wrongWay = good with { Flags = good.Flags ^ DescriptorFlags.Write };
        RawDescriptor nowhere = good with { Address = RingBench.DataEnd - 4 };
        ulong table = AllocateTable(random);
        RawDescriptor[] descriptors = random.Next(_bench.Driver.FreeSlots > 1 ? 7 : 4) switch
        {
            0 => [wrongWay],
            1 => [nowhere],
            2 => [new RawDescriptor(table, 24, DescriptorFlags.Indirect)],
            3 => [new RawDescriptor(table, 0, DescriptorFlags.Indirect)],
            4 => [good with { Flags = good.Flags | DescriptorFlags.Next, Next = 1 }, wrongWay],
            5 => [nowhere with { Flags = good.Flags | DescriptorFlags.Next, Next = 1 }, good],
            _ => [good with { Flags = good.Flags | DescriptorFlags.Next, Next = 1 }, WrongEnd(good, table)],
        };
        _bench.Driver.AddRaw(descriptors);
        return new ModelChain([], [], _packed ? descriptors.Length : 1, Bad: true);
    }

    /// <summary>What must not follow a chain's first descriptor: in a split ring a way back, in both a bad table.</summary>
    private RawDescriptor WrongEnd(RawDescriptor good, ulong table) => _packed
        ? new RawDescriptor(table, 16, DescriptorFlags.Indirect)
        : good with { Flags = good.Flags | DescriptorFlags.Next, Next = 0 };

    private void Scatter(Piece[] pieces, ReadOnlySpan<byte> contents)
    {
        foreach (Piece piece in pieces)
        {
            _bench.Memory.Write(piece.Address, contents[..(int)piece.Length]);
            contents = contents[(int)piece.Length..];
        }
    }

    /// <summary>Room for a buffer. It is given out again only after more than all that can be outstanding.</summary>
    private ulong Allocate(Random random)
    {
        ulong at = _nextBuffer + (ulong)(random.Next(3) == 0 ? 0 : random.Next(8));
        if (at + LongestBuffer > _data.End)
        {
            at = _data.Start;
        }

        _nextBuffer = at + LongestBuffer;
        return at;
    }

    private ulong AllocateTable(Random random)
    {
        ulong at = _nextTable + (ulong)random.Next(20);
        if (at + (16 * LongestChain) > _tables.End)
        {
            at = _tables.Start;
        }

        _nextTable = at + (16 * LongestChain);
        return at;
    }
}
