using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>
/// A ring with both its ends, in memory between guard pages. Each part of the ring ends where its region ends, so that a step
/// too far is a step onto a guard page.
/// </summary>
internal sealed unsafe class RingBench : IDisposable
{
    /// <summary>Guest addresses of two regions for data that follow each other for the guest, but not in this process.</summary>
    internal const ulong Data = 0x100_0000;
    internal const ulong DataSize = 0x1_0000;
    internal const ulong SecondData = Data + DataSize;
    internal const ulong DataEnd = SecondData + DataSize;

    /// <summary>A region for indirect tables.</summary>
    internal const ulong Tables = 0x200_0000;
    internal const ulong TablesSize = 0x10_0000;

    /// <summary>The same in large, for rings of which very many chains are out: there only where it is asked for.</summary>
    internal const ulong WideData = 0x400_0000;
    internal const ulong WideSecondData = 0x500_0000;
    internal const ulong WideTables = 0x700_0000;
    internal const ulong WideSize = 0x100_0000;

    private const ulong Descriptors = 0x10_0000;
    private const ulong DriverPart = 0x20_0000;
    private const ulong DevicePart = 0x30_0000;
    private static readonly (ulong Guest, ulong Size)[] NoRegions = [];

    /// <summary>Features as if everything were negotiated that a test does not take away.</summary>
    internal const VirtioFeatures AllFeatures = VirtioFeatures.Version1 | VirtioFeatures.IndirectDesc;

    internal RingBench(
        RingFormat format, int size, VirtioFeatures features = AllFeatures, ushort? start = null, bool wide = false)
    {
        bool packed = format == RingFormat.Packed;
        ulong table = 16 * (ulong)size;
        ulong driver = packed ? 4 : 6 + (2 * (ulong)size);
        ulong device = packed ? 4 : 6 + (8 * (ulong)size);
        Memory = new GuardedMemory(
        [
            (Descriptors, Pages(table)),
            (DriverPart, Pages(driver)),
            (DevicePart, Pages(device)),
            (Data, DataSize),
            (SecondData, DataSize),
            (Tables, TablesSize),
            .. wide ? [(WideData, WideSize), (WideSecondData, WideSize), (WideTables, WideSize)] : NoRegions,
        ]);
        ushort position = start ?? (ushort)(packed ? 0x8000 : 0);
        Plan = new RingPlan
        {
            Size = size,
            DescriptorAddress = GuardedMemory.UserBase + Descriptors + Pages(table) - table,
            DriverAddress = GuardedMemory.UserBase + DriverPart + ((Pages(driver) - driver) & ~3UL),
            DeviceAddress = GuardedMemory.UserBase + DevicePart + ((Pages(device) - device) & ~3UL),
            Base = packed ? position * 0x10001u : position,
            Features = features | (packed ? VirtioFeatures.RingPacked : 0),
            Enabled = true,
        };
        Driver = packed ? new PackedTestDriver(Memory, Plan, position) : new SplitTestDriver(Memory, Plan, position);
        Device = DeviceSide.Attach(Plan, Memory.View);
    }

    internal GuardedMemory Memory { get; }

    internal RingPlan Plan { get; }

    internal TestDriver Driver { get; }

    internal DeviceSide Device { get; private set; }

    /// <summary>What a chain's vectors hold, one after the other.</summary>
    internal byte[] Contents(in Chain chain)
    {
        List<byte> bytes = [];
        for (int i = 0; i < chain.VectorCount; i++)
        {
            IoVec vector = Device.Space.Vectors[chain.FirstVector + i];
            bytes.AddRange(new ReadOnlySpan<byte>(vector.Base, (int)vector.Length));
        }

        return [.. bytes];
    }

    /// <summary>Writes bytes into a chain's vectors, from the first on.</summary>
    internal void Fill(in Chain chain, ReadOnlySpan<byte> bytes)
    {
        for (int i = 0; !bytes.IsEmpty; i++)
        {
            Assert.True(i < chain.VectorCount);
            IoVec vector = Device.Space.Vectors[chain.FirstVector + i];
            int part = Math.Min(bytes.Length, (int)vector.Length);
            bytes[..part].CopyTo(new Span<byte>(vector.Base, part));
            bytes = bytes[part..];
        }
    }

    /// <summary>Another device takes over where the present one stands.</summary>
    internal void Restart(uint? position = null)
    {
        RingPlan plan = Plan with { Base = position ?? Device.Base };
        Device.Dispose();
        Device = DeviceSide.Attach(plan, Memory.View);
    }

    public void Dispose()
    {
        Device.Dispose();
        Memory.Dispose();
    }

    private static ulong Pages(ulong length) => (length + GuardedMemory.Page - 1) & ~(GuardedMemory.Page - 1);
}
