using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Fuzz;

/// <summary>
/// A driver that writes whatever the input says into a ring of either format, and batches of the device between. Every vector
/// must lie in guest memory, which has guard pages around it; and every batch ends.
/// <code>
/// input     u8 form (format 1, INDIRECT_DESC 2, EVENT_IDX 4, IN_ORDER 8, receive 16)   u8 size   u16 base   step...
/// step      u8 action, then what it needs: see <see cref="Take"/>
/// address   u8 place   u16 offset from there   u16 length
/// </code>
/// </summary>
internal static unsafe class RingTarget
{
    private const int MaxSize = 256;
    private const int MaxSteps = 400;
    private const int Batch = 64;
    private const ulong Descriptors = 0x10_0000;
    private const ulong DriverPart = 0x20_0000;
    private const ulong DevicePart = 0x30_0000;
    private const ulong Data = 0x100_0000;
    private const ulong DataSize = 0x2000;
    private const ulong Tables = 0x200_0000;
    private const ulong TablesSize = 0x1000;

    private static readonly GuardedMemory Memory = new(
        (Descriptors, GuardedMemory.Page), (DriverPart, GuardedMemory.Page), (DevicePart, GuardedMemory.Page), (Data, DataSize),
        (Data + DataSize, DataSize), (Tables, TablesSize));

    private static readonly ulong[] Places =
    [
        Data, Data + DataSize - 64, Data + (2 * DataSize) - 64, Tables, Tables + TablesSize - 64, Descriptors, DriverPart,
        DevicePart, 0, ulong.MaxValue - 64, 0x8000_0000_0000_0000, 0x7000_0000_0000,
    ];

    internal static void Run(byte[] input)
    {
        var steps = new InputReader(input);
        byte form = steps.Byte();
        RingPlan plan = PlanOf(form, steps.Byte(), steps.Short());
        Clear();
        if (DeviceSide.TryAttach(plan, Memory.View, out DeviceSide? device) is not null)
        {
            return;
        }

        for (int i = 0; i < MaxSteps && !steps.IsAtEnd; i++)
        {
            Take(steps, plan, (form & 16) != 0, ref device!);
        }

        device!.Dispose();
    }

    /// <summary>A ring each part of which ends where its region ends, so that a step too far is one onto a guard page.</summary>
    private static RingPlan PlanOf(byte form, byte chosen, ushort position)
    {
        bool packed = (form & 1) != 0;
        int size = packed ? chosen + 1 : 1 << (chosen % 9);
        int table = 16 * size;
        int driver = packed ? 4 : 6 + (2 * size);
        int device = packed ? 4 : 6 + (8 * size);
        return new RingPlan
        {
            Size = size,
            DescriptorAddress = EndOf(Descriptors, table),
            DriverAddress = EndOf(DriverPart, driver),
            DeviceAddress = EndOf(DevicePart, device),
            Base = position * (packed ? 0x10001u : 1u),
            Features = VirtioFeatures.Version1
                | (packed ? VirtioFeatures.RingPacked : 0)
                | ((form & 2) != 0 ? VirtioFeatures.IndirectDesc : 0)
                | ((form & 4) != 0 ? VirtioFeatures.EventIdx : 0)
                | ((form & 8) != 0 ? VirtioFeatures.InOrder : 0),
            Enabled = true,
        };
    }

    private static ulong EndOf(ulong region, int length) =>
        GuardedMemory.UserBase + region + ((GuardedMemory.Page - (ulong)length) & ~3UL);

    private static void Clear()
    {
        foreach (ulong region in new[] { Descriptors, DriverPart, DevicePart, Tables })
        {
            Memory.Bytes(region, (int)GuardedMemory.Page).Clear();
        }
    }

    private static void Take(InputReader steps, RingPlan plan, bool receive, ref DeviceSide device)
    {
        switch (steps.Byte() % 8)
        {
            case 0: // u8 slot, address, u16 flags or id, u16 next or flags
                WriteDescriptor(steps, Host(plan.DescriptorAddress) + (16 * (steps.Byte() % plan.Size)));
                break;
            case 1: // u8 entry of the indirect tables, the same
                WriteDescriptor(steps, Memory.At(Tables) + (16 * steps.Byte()));
                break;
            case 2: // u16 word of the driver's part, u16 value
                ushort word = steps.Short();
                int words = plan.Features.HasFlag(VirtioFeatures.RingPacked) ? 2 : 3 + plan.Size;
                ((ushort*)Host(plan.DriverAddress))[word % words] = steps.Short();
                break;
            case 3: // u8 further entries available
                ((ushort*)Host(plan.DriverAddress))[1] = (ushort)(device.Base + steps.Byte());
                break;
            case 4: // nothing: another device takes over
                uint position = device.Base;
                device.Dispose();
                device = DeviceSide.Attach(plan with { Base = position }, Memory.View);
                break;
            case 5: // nothing: memory or features changed
                Assert.Null(device.TryReattach(plan, Memory.View));
                break;
            default: // u8 how many, u8 how many of them are kept, u8 how many kicks ahead
                Move(device, receive, plan.Size, steps.Byte() % Batch, steps.Byte(), steps.Byte());
                break;
        }
    }

    private static void WriteDescriptor(InputReader steps, byte* at)
    {
        *(ulong*)at = Places[steps.Byte() % Places.Length] + steps.Short();
        ushort length = steps.Short();
        *(uint*)(at + 8) = length == ushort.MaxValue ? uint.MaxValue - 15 : length;
        *(ushort*)(at + 12) = steps.Short();
        *(ushort*)(at + 14) = steps.Short();
    }

    private static byte* Host(ulong userAddress) => Memory.At(userAddress - GuardedMemory.UserBase);

    /// <summary>One batch as a pump would run it. A ring that breaks stays as it is.</summary>
    private static void Move(DeviceSide device, bool receive, int size, int count, byte kept, byte ahead)
    {
        device.Space.Truncate(0);
        List<Chain> popped = [];
        while (popped.Count < count && device.Space.HasRoom
            && device.TryPop(receive, out Chain chain) is PopStatus.Popped or PopStatus.BadChain)
        {
            Check(device, in chain, receive, size);
            popped.Add(chain);
        }

        Assert.InRange(popped.Sum(chain => chain.Slots), 0, size);
        int keep = popped.Count == 0 ? 0 : kept % (popped.Count + 1);
        int rewound = popped.Skip(keep).Sum(chain => chain.Slots);
        device.Rewind(rewound);
        if (receive)
        {
            popped.Take(keep).ToList().ForEach(chain => device.Use(in chain, (uint)chain.Length));
        }
        else
        {
            device.UseUnwritten(popped.Take(keep).ToArray());
        }

        device.Publish();
        device.MustCall();
        device.RequestKicks(ahead % (rewound + 1));
        device.SuppressKicks();
        _ = device.HasWork;
    }

    private static void Check(DeviceSide device, in Chain chain, bool receive, int size)
    {
        Assert.InRange(chain.Slots, 1, size);
        Assert.InRange(chain.VectorCount, 0, VectorSpace.MaxPerChain);
        ulong length = 0;
        for (int i = 0; i < chain.VectorCount; i++)
        {
            IoVec vector = device.Space.Vectors[chain.FirstVector + i];
            Assert.True(Memory.Holds(vector.Base, vector.Length));
            length += vector.Length;
            if (receive && vector.Length > 0)
            {
                vector.Base[0] ^= 1;
                vector.Base[vector.Length - 1] ^= 1;
            }
        }

        Assert.Equal(length, chain.Length);
    }
}
