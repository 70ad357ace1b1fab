using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>
/// Split rings, virtio 1.3 section 2.7. Descriptors are handed out in a shuffled order, so chains lie scattered.
/// </summary>
internal sealed unsafe class SplitTestDriver : TestDriver
{
    private readonly SplitDescriptor* _table;
    private readonly ushort* _available;
    private readonly byte* _used;
    private readonly Queue<ushort> _free;
    private readonly Dictionary<ushort, ushort[]> _chains = [];
    private ushort _nextAvailable;
    private ushort _publishedBefore;
    private ushort _published;
    private ushort _nextUsed;

    internal SplitTestDriver(GuardedMemory memory, RingPlan plan, ushort start)
        : base(memory, plan)
    {
        _table = (SplitDescriptor*)memory.At(plan.DescriptorAddress - GuardedMemory.UserBase);
        _available = (ushort*)memory.At(plan.DriverAddress - GuardedMemory.UserBase);
        _used = memory.At(plan.DeviceAddress - GuardedMemory.UserBase);
        ushort[] order = [.. Enumerable.Range(0, plan.Size).Select(index => (ushort)index)];
        if (!InOrder)
        {
            new Random(plan.Size).Shuffle(order);
        }

        _free = new Queue<ushort>(order);
        _nextAvailable = start;
        _published = start;
        _nextUsed = start;
        _available[1] = start;
        *(ushort*)(_used + 2) = start;
    }

    internal ref ushort AvailableIndex => ref _available[1];

    internal ref ushort AvailableEntry(int index) => ref _available[2 + (index % Size)];

    private protected override bool TablesAreLinked => true;

    internal override void Publish()
    {
        _publishedBefore = _published;
        _published = _nextAvailable;
        Volatile.Write(ref _available[1], _published);
        Interlocked.MemoryBarrier();
    }

    internal override bool MustKick()
    {
        if (!EventIndex)
        {
            return (Volatile.Read(ref *(ushort*)_used) & 1) == 0;
        }

        ushort wanted = Volatile.Read(ref *(ushort*)(_used + 4 + (8 * Size)));
        return (ushort)(_published - wanted - 1) < (ushort)(_published - _publishedBefore);
    }

    internal override void WantCalls(int after = 0)
    {
        _available[0] = 0;
        Volatile.Write(ref _available[2 + Size], (ushort)(_nextUsed + after));
        Interlocked.MemoryBarrier();
    }

    internal override void RefuseCalls() => Volatile.Write(ref _available[0], 1);

    internal override void WriteTable(ulong table, params RawDescriptor[] entries)
    {
        for (int i = 0; i < entries.Length; i++)
        {
            SplitDescriptor descriptor = Make(entries[i], entries[i].Next);
            Memory.Write(table + (ulong)(i * 16), new ReadOnlySpan<byte>(&descriptor, 16));
        }
    }

    private protected override ushort WriteChain(RawDescriptor[] descriptors)
    {
        ushort[] slots = [.. descriptors.Select(_ => _free.Dequeue())];
        for (int i = 0; i < slots.Length; i++)
        {
            ushort next = descriptors[i].Next < slots.Length ? slots[descriptors[i].Next] : descriptors[i].Next;
            _table[slots[i]] = Make(descriptors[i], next);
        }

        _chains[slots[0]] = slots;
        _available[2 + (_nextAvailable % Size)] = slots[0];
        _nextAvailable++;
        return slots[0];
    }

    private protected override bool TryReadUsed(out ushort id, out uint length)
    {
        id = 0;
        length = 0;
        if (Volatile.Read(ref *(ushort*)(_used + 2)) == _nextUsed)
        {
            return false;
        }

        uint* element = (uint*)(_used + 4 + (8 * (_nextUsed % Size)));
        id = (ushort)element[0];
        length = element[1];
        return true;
    }

    private protected override void Advance(ushort id, int slots)
    {
        _chains.Remove(id, out ushort[]? freed);
        Array.ForEach(freed!, _free.Enqueue);
        _nextUsed++;
    }

    private static SplitDescriptor Make(RawDescriptor raw, ushort next) =>
        new() { Address = raw.Address, Length = raw.Length, Flags = raw.Flags, Next = next };
}
