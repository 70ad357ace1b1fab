using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>Packed rings, virtio 1.3 section 2.8. Buffer ids run through all 16 bits, whatever the ring's size.</summary>
internal sealed unsafe class PackedTestDriver : TestDriver
{
    private const int Available = 1 << 7;
    private const int Used = 1 << 15;
    private const int IdStride = 7919;

    private readonly byte* _ring;
    private readonly ushort* _driverEvent;
    private readonly ushort* _deviceEvent;
    private readonly List<(int Slot, ushort Flags)> _held = [];
    private int _next;
    private bool _nextWrap;
    private int _nextUsed;
    private bool _usedWrap;
    private int _added;
    private ushort _lastId;

    internal PackedTestDriver(GuardedMemory memory, RingPlan plan, ushort start)
        : base(memory, plan)
    {
        _ring = memory.At(plan.DescriptorAddress - GuardedMemory.UserBase);
        _driverEvent = (ushort*)memory.At(plan.DriverAddress - GuardedMemory.UserBase);
        _deviceEvent = (ushort*)memory.At(plan.DeviceAddress - GuardedMemory.UserBase);
        _next = _nextUsed = start & 0x7fff;
        _nextWrap = _usedWrap = start >> 15 != 0;

        // As a ring looks that has come so far with chains of one descriptor: each slot used in its last lap.
        for (int slot = 0; slot < Size; slot++)
        {
            bool lap = slot < _next ? _nextWrap : !_nextWrap;
            Flags(slot) = (ushort)(lap ? Available | Used : 0);
        }
    }

    /// <summary>The flags of a slot of the ring.</summary>
    internal ref ushort Flags(int slot) => ref *(ushort*)(_ring + (16 * slot) + 14);

    /// <summary>The slot that the next descriptor goes into.</summary>
    internal int NextSlot => _next;

    private protected override bool TablesAreLinked => false;

    internal override void Publish()
    {
        for (int i = _held.Count - 1; i >= 0; i--)
        {
            Volatile.Write(ref Flags(_held[i].Slot), _held[i].Flags);
        }

        _added = _held.Count;
        _held.Clear();
        Interlocked.MemoryBarrier();
    }

    internal override bool MustKick()
    {
        uint wish = Volatile.Read(ref *(uint*)_deviceEvent);
        ushort position = (ushort)wish;
        int mode = (int)(wish >> 16);
        if (mode != 2)
        {
            Assert.InRange(mode, 0, 1);
            return mode == 0;
        }

        Assert.True(EventIndex, "a position without EVENT_IDX");
        int wanted = (position & 0x7fff) - (position >> 15 != 0 == _nextWrap ? 0 : Size);
        return (ushort)(_next - wanted - 1) < (ushort)_added;
    }

    internal override void WantCalls(int after = 0)
    {
        if (EventIndex)
        {
            int slot = _nextUsed + after;
            bool wrap = slot >= Size ? !_usedWrap : _usedWrap;
            Volatile.Write(ref _driverEvent[0], (ushort)((slot % Size) | (wrap ? 0x8000 : 0)));
        }

        Volatile.Write(ref _driverEvent[1], (ushort)(EventIndex ? 2 : 0));
        Interlocked.MemoryBarrier();
    }

    internal override void RefuseCalls() => Volatile.Write(ref _driverEvent[1], 1);

    internal override void WriteTable(ulong table, params RawDescriptor[] entries)
    {
        for (int i = 0; i < entries.Length; i++)
        {
            byte[] entry = [.. BitConverter.GetBytes(entries[i].Address), .. BitConverter.GetBytes(entries[i].Length), 0xaa, 0xaa,
                .. BitConverter.GetBytes((ushort)entries[i].Flags)];
            Memory.Write(table + (ulong)(i * 16), entry);
        }
    }

    private protected override ushort WriteChain(RawDescriptor[] descriptors)
    {
        ushort id = _lastId += IdStride;
        for (int i = 0; i < descriptors.Length; i++)
        {
            byte* slot = _ring + (16 * _next);
            *(ulong*)slot = descriptors[i].Address;
            *(uint*)(slot + 8) = descriptors[i].Length;
            *(ushort*)(slot + 12) = i + 1 == descriptors.Length ? id : (ushort)0xdead;
            _held.Add((_next, (ushort)((int)descriptors[i].Flags | (_nextWrap ? Available : Used))));
            Step(ref _next, ref _nextWrap, 1);
        }

        return id;
    }

    private protected override bool TryReadUsed(out ushort id, out uint length)
    {
        ushort flags = Volatile.Read(ref Flags(_nextUsed));
        bool used = (flags & Used) != 0;
        byte* slot = _ring + (16 * _nextUsed);
        length = (flags & (int)DescriptorFlags.Write) != 0 ? *(uint*)(slot + 8) : 0;
        id = *(ushort*)(slot + 12);
        return used == ((flags & Available) != 0) && used == _usedWrap;
    }

    private protected override void Advance(ushort id, int slots) => Step(ref _nextUsed, ref _usedWrap, slots);

    private void Step(ref int position, ref bool wrap, int by)
    {
        position += by;
        if (position >= Size)
        {
            position -= Size;
            wrap = !wrap;
        }
    }
}
