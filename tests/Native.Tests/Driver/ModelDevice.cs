using Ringmaster.Native.Driver;

namespace Ringmaster.Native.Tests.Driver;

/// <summary>One chain as the device finds it.</summary>
internal sealed record SeenChain(ushort Id, int Descriptors, IReadOnlyList<RingBuffer> Buffers);

/// <summary>
/// A device's half of a ring, as plain as can be: it reads guest memory through <see cref="GuestRam"/> and follows the words of
/// virtio 1.3 sections 2.7 and 2.8. It shares no code with the product's device half.
/// </summary>
internal abstract class ModelDevice(GuestRam ram, DriverRing ring)
{
    protected GuestRam Ram { get; } = ram;

    protected RingAddresses At { get; } = ring.Addresses;

    protected int Size { get; } = ring.Size;

    internal static ModelDevice For(GuestRam ram, DriverRing ring) =>
        ring is SplitDriverRing ? new SplitModelDevice(ram, ring) : new PackedModelDevice(ram, ring);

    /// <summary>The next available chain, or null.</summary>
    internal abstract SeenChain? Pop();

    /// <summary>Returns chains: with a batch, one entry that names the last stands for all of them.</summary>
    internal abstract void Return(IReadOnlyList<SeenChain> chains, uint lengthOfLast, bool asBatch = false);

    /// <summary>Tells the driver whether to kick.</summary>
    internal abstract void WantKicks(bool wanted);

    /// <summary>With EVENT_IDX: asks for a kick once the chain after so many more has been made available.</summary>
    internal abstract void WantKickAfter(int more);

    /// <summary>Without EVENT_IDX: whether the driver wants calls.</summary>
    internal abstract bool CallsWanted { get; }

    protected RingBuffer ReadBuffer(ulong descriptor, ushort flags) =>
        new(Ram.ReadU64(descriptor), Ram.ReadU32(descriptor + 8), (flags & DriverRing.FlagWrite) != 0);
}

internal sealed class SplitModelDevice(GuestRam ram, DriverRing ring) : ModelDevice(ram, ring)
{
    private ushort _taken;
    private ushort _used;

    internal override bool CallsWanted => (Ram.ReadU16(At.Driver) & 1) == 0;

    internal ushort UsedEvent => Ram.ReadU16(At.Driver + 4 + (2 * (ulong)Size));

    internal override SeenChain? Pop()
    {
        if (Ram.ReadU16(At.Driver + 2) == _taken)
        {
            return null;
        }

        ushort head = Ram.ReadU16(At.Driver + 4 + (2 * (ulong)(_taken++ % Size)));
        var buffers = new List<RingBuffer>();
        int descriptors = Walk(At.Descriptors, head, buffers);
        return new SeenChain(head, descriptors, buffers);
    }

    internal override void Return(IReadOnlyList<SeenChain> chains, uint lengthOfLast, bool asBatch = false)
    {
        for (int i = asBatch ? chains.Count - 1 : 0; i < chains.Count; i++)
        {
            ulong entry = At.Device + 4 + (8 * (ulong)((asBatch ? _used : (ushort)(_used + i)) % Size));
            Ram.WriteU32(entry, chains[i].Id);
            Ram.WriteU32(entry + 4, i == chains.Count - 1 ? lengthOfLast : 0);
        }

        Ram.WriteU16(At.Device + 2, _used += (ushort)chains.Count);
    }

    internal override void WantKicks(bool wanted) => Ram.WriteU16(At.Device, wanted ? (ushort)0 : (ushort)1);

    internal override void WantKickAfter(int more) => Ram.WriteU16(At.Device + 4 + (8 * (ulong)Size), (ushort)(_taken + more));

    private int Walk(ulong table, int index, List<RingBuffer> buffers)
    {
        for (int count = 1; ; count++)
        {
            ulong descriptor = table + (16 * (ulong)index);
            ushort flags = Ram.ReadU16(descriptor + 12);
            if ((flags & DriverRing.FlagIndirect) != 0)
            {
                Walk(Ram.ReadU64(descriptor), 0, buffers);
            }
            else
            {
                buffers.Add(ReadBuffer(descriptor, flags));
            }

            if ((flags & DriverRing.FlagNext) == 0)
            {
                return count;
            }

            index = Ram.ReadU16(descriptor + 14);
        }
    }
}

internal sealed class PackedModelDevice(GuestRam ram, DriverRing ring) : ModelDevice(ram, ring)
{
    private int _taken;
    private bool _takenWrap = true;
    private int _used;
    private bool _usedWrap = true;

    internal override bool CallsWanted => Ram.ReadU16(At.Driver + 2) != 1;

    internal override SeenChain? Pop()
    {
        ushort flags = Ram.ReadU16(Descriptor(_taken) + 14);
        if (((flags & 0x80) != 0) != _takenWrap || ((flags & 0x8000) != 0) == _takenWrap)
        {
            return null;
        }

        var buffers = new List<RingBuffer>();
        int count = 0;
        ulong descriptor;
        do
        {
            descriptor = Descriptor(_taken);
            flags = Ram.ReadU16(descriptor + 14);
            ReadOne(descriptor, flags, buffers);
            count++;
            Step(ref _taken, ref _takenWrap, 1);
        }
        while ((flags & DriverRing.FlagNext) != 0);
        return new SeenChain(Ram.ReadU16(descriptor + 12), count, buffers);
    }

    internal override void Return(IReadOnlyList<SeenChain> chains, uint lengthOfLast, bool asBatch = false)
    {
        if (asBatch)
        {
            WriteUsed(chains[^1].Id, lengthOfLast);
            Step(ref _used, ref _usedWrap, chains.Sum(chain => chain.Descriptors));
            return;
        }

        for (int i = 0; i < chains.Count; i++)
        {
            WriteUsed(chains[i].Id, i == chains.Count - 1 ? lengthOfLast : 0);
            Step(ref _used, ref _usedWrap, chains[i].Descriptors);
        }
    }

    internal override void WantKicks(bool wanted) => Ram.WriteU16(At.Device + 2, wanted ? (ushort)0 : (ushort)1);

    internal override void WantKickAfter(int more)
    {
        int position = _taken;
        bool wrap = _takenWrap;
        Step(ref position, ref wrap, more);
        Ram.WriteU16(At.Device, (ushort)(position | (wrap ? 0x8000 : 0)));
        Ram.WriteU16(At.Device + 2, 2);
    }

    internal void WriteUsed(ushort id, uint length)
    {
        ulong descriptor = Descriptor(_used);
        Ram.WriteU32(descriptor + 8, length);
        Ram.WriteU16(descriptor + 12, id);
        Ram.WriteU16(descriptor + 14, (ushort)((_usedWrap ? 0x8080 : 0) | (length > 0 ? DriverRing.FlagWrite : 0)));
    }

    private void ReadOne(ulong descriptor, ushort flags, List<RingBuffer> buffers)
    {
        if ((flags & DriverRing.FlagIndirect) == 0)
        {
            buffers.Add(ReadBuffer(descriptor, flags));
            return;
        }

        ulong table = Ram.ReadU64(descriptor);
        for (ulong entry = table; entry < table + Ram.ReadU32(descriptor + 8); entry += 16)
        {
            buffers.Add(ReadBuffer(entry, Ram.ReadU16(entry + 14)));
        }
    }

    private ulong Descriptor(int position) => At.Descriptors + (16 * (ulong)position);

    private void Step(ref int position, ref bool wrap, int by)
    {
        position += by;
        while (position >= Size)
        {
            position -= Size;
            wrap = !wrap;
        }
    }
}
