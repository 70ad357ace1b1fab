using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>A buffer of a chain, by guest address.</summary>
internal readonly record struct Piece(ulong Address, uint Length, bool Writable = false);

/// <summary>
/// A descriptor as it shall stand in memory. Next is for split rings, where it counts from the chain's first one.
/// </summary>
internal readonly record struct RawDescriptor(ulong Address, uint Length, DescriptorFlags Flags = 0, ushort Next = 0);

/// <summary>A chain that came back; the length is what the device says, or what IN_ORDER implies.</summary>
internal readonly record struct Returned(ushort Id, uint Length, Piece[] Pieces);

/// <summary>
/// The guest's half of a ring, as small as it can be and written from the specification alone. Chains must come back in the
/// order in which they were added, each once; anything else fails the test. One thread.
/// </summary>
internal abstract class TestDriver
{
    private readonly Queue<Outstanding> _outstanding = [];

    private protected TestDriver(GuardedMemory memory, RingPlan plan)
    {
        Memory = memory;
        Plan = plan;
        FreeSlots = plan.Size;
    }

    /// <summary>What the device needs to attach.</summary>
    internal RingPlan Plan { get; }

    /// <summary>Descriptors that no chain has.</summary>
    internal int FreeSlots { get; private set; }

    /// <summary>Chains that the device has not returned.</summary>
    internal int OutstandingChains => _outstanding.Count;

    private protected GuardedMemory Memory { get; }

    private protected int Size => Plan.Size;

    private protected bool EventIndex => Plan.Features.HasFlag(VirtioFeatures.EventIdx);

    private protected bool InOrder => Plan.Features.HasFlag(VirtioFeatures.InOrder);

    /// <summary>Adds a chain, one descriptor a piece. The device sees it after <see cref="Publish"/>.</summary>
    internal void Add(params Piece[] pieces)
    {
        var descriptors = new RawDescriptor[pieces.Length];
        for (int i = 0; i < pieces.Length; i++)
        {
            DescriptorFlags next = i + 1 < pieces.Length ? DescriptorFlags.Next : 0;
            descriptors[i] = new RawDescriptor(pieces[i].Address, pieces[i].Length, next | WriteFlag(pieces[i]), (ushort)(i + 1));
        }

        Register(WriteChain(descriptors), descriptors.Length, pieces);
    }

    /// <summary>Adds a chain through an indirect table.</summary>
    internal void AddIndirect(ulong table, params Piece[] pieces)
    {
        var entries = new RawDescriptor[pieces.Length];
        for (int i = 0; i < pieces.Length; i++)
        {
            DescriptorFlags next = TablesAreLinked && i + 1 < pieces.Length ? DescriptorFlags.Next : 0;
            entries[i] = new RawDescriptor(pieces[i].Address, pieces[i].Length, next | WriteFlag(pieces[i]), (ushort)(i + 1));
        }

        WriteTable(table, entries);
        uint length = 16 * (uint)pieces.Length;
        Register(WriteChain([new RawDescriptor(table, length, DescriptorFlags.Indirect)]), 1, pieces);
    }

    /// <summary>Adds a chain of descriptors as they are. They may be against every rule.</summary>
    internal void AddRaw(params RawDescriptor[] descriptors) => Register(WriteChain(descriptors), descriptors.Length, []);

    /// <summary>Shows the device what was added.</summary>
    internal abstract void Publish();

    /// <summary>Whether the device wants a kick for what was published last.</summary>
    internal abstract bool MustKick();

    /// <summary>Wants a call; with EVENT_IDX when the slot that is <paramref name="after"/> ahead is used.</summary>
    internal abstract void WantCalls(int after = 0);

    /// <summary>Wants no calls.</summary>
    internal abstract void RefuseCalls();

    /// <summary>Writes an indirect table in the ring's format.</summary>
    internal abstract void WriteTable(ulong table, params RawDescriptor[] entries);

    /// <summary>Takes back all that the device returned, in order.</summary>
    internal List<Returned> Collect()
    {
        List<Returned> all = [];
        while (TryReadUsed(out ushort id, out uint length))
        {
            Outstanding chain;
            while ((chain = _outstanding.Dequeue()).Id != id)
            {
                Assert.True(InOrder, $"chain {id} came back before chain {chain.Id}");
                all.Add(Retire(chain, (uint)chain.Pieces.Where(piece => piece.Writable).Sum(piece => piece.Length)));
            }

            all.Add(Retire(chain, length));
        }

        return all;
    }

    /// <summary>True in a split ring: the entries of an indirect table name their successors.</summary>
    private protected abstract bool TablesAreLinked { get; }

    /// <summary>Writes a chain and gives its id.</summary>
    private protected abstract ushort WriteChain(RawDescriptor[] descriptors);

    /// <summary>Reads the used entry at the present position, without stepping over it.</summary>
    private protected abstract bool TryReadUsed(out ushort id, out uint length);

    /// <summary>Steps over a chain that came back.</summary>
    private protected abstract void Advance(ushort id, int slots);

    private static DescriptorFlags WriteFlag(Piece piece) => piece.Writable ? DescriptorFlags.Write : 0;

    private void Register(ushort id, int slots, Piece[] pieces)
    {
        Assert.True(slots <= FreeSlots, "the test's driver overfills its ring");
        FreeSlots -= slots;
        _outstanding.Enqueue(new Outstanding(id, slots, pieces));
    }

    private Returned Retire(Outstanding chain, uint length)
    {
        FreeSlots += chain.Slots;
        Advance(chain.Id, chain.Slots);
        return new Returned(chain.Id, length, chain.Pieces);
    }

    private sealed record Outstanding(ushort Id, int Slots, Piece[] Pieces);
}
