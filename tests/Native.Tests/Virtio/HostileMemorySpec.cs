using System.Diagnostics;
using CsCheck;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>
/// Rings in memory that a malicious driver fills at random and changes while they are read. Whatever stands there, every
/// vector lies in guest memory (guard pages see to the rest), and a batch ends after bounded work.
/// </summary>
public sealed unsafe class HostileMemorySpec
{
    private const int Iterations = 60;
    private const int Rounds = 30;
    private const int Batch = 64;
    private static readonly TimeSpan RoundLimit = TimeSpan.FromSeconds(5);

    private static readonly ulong[] Places =
    [
        RingBench.Data, RingBench.SecondData, RingBench.DataEnd, RingBench.Tables, RingBench.Tables + RingBench.TablesSize,
        0x10_0000, 0x20_0000, 0x30_0000, 0, ulong.MaxValue, 0x8000_0000_0000_0000,
    ];

    private static readonly uint[] Lengths =
        [0, 1, 15, 16, 17, 32, 160, 4096, 0x1_0000, 0x10_0000, uint.MaxValue - 15, uint.MaxValue];

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void Random_memory_neither_crashes_nor_leads_out_of_the_guests_memory(RingFormat format)
    {
        Gen<(int, uint, uint)> cases = Gen.Select(
            format == RingFormat.Split ? Gen.Int[0, 10].Select(bits => 1 << bits) : Gen.Int[1, 300],
            Gen.UInt,
            Gen.UInt[0, 15]);

        RepeatableCheck.Run(cases, Iterations, input => Run(format, input.Item1, input.Item2, input.Item3));
    }

    private static void Run(RingFormat format, int size, uint seed, uint features)
    {
        var random = new Random((int)seed);
        using var bench = new RingBench(format, size, Features(features));
        ScrambleTables(bench, random, 2000);
        for (int round = 0; round < Rounds; round++)
        {
            ScrambleRing(bench, format, random, random.Next(4 * size));
            ScrambleTables(bench, random, 20);
            long start = Stopwatch.GetTimestamp();
            if (!TryBatch(bench, random, random.Next(2) == 0))
            {
                bench.Restart();
            }

            Assert.True(Stopwatch.GetElapsedTime(start) < RoundLimit);
        }
    }

    private static VirtioFeatures Features(uint bits) => VirtioFeatures.Version1
        | ((bits & 1) != 0 ? VirtioFeatures.IndirectDesc : 0)
        | ((bits & 2) != 0 ? VirtioFeatures.EventIdx : 0)
        | ((bits & 4) != 0 ? VirtioFeatures.InOrder : 0);

    /// <summary>One batch as a pump would run it; false when the ring broke.</summary>
    private static bool TryBatch(RingBench bench, Random random, bool deviceWrites)
    {
        DeviceSide device = bench.Device;
        device.Space.Truncate(0);
        List<Chain> popped = [];
        PopStatus status = PopStatus.Popped;
        while (popped.Count < Batch && device.Space.HasRoom)
        {
            status = device.TryPop(deviceWrites, out Chain chain);
            if (status is PopStatus.Empty or PopStatus.BrokenRing)
            {
                break;
            }

            Check(bench, in chain, deviceWrites, bench.Plan.Size);
            popped.Add(chain);
        }

        int slots = popped.Sum(chain => chain.Slots);
        Assert.InRange(slots, 0, bench.Plan.Size);
        int keep = random.Next(popped.Count + 1);
        device.Rewind(popped.Skip(keep).Sum(chain => chain.Slots));
        Return(device, [.. popped.Take(keep)], deviceWrites);
        device.MustCall();
        device.RequestKicks(random.Next(bench.Plan.Size + 1));
        device.SuppressKicks();
        _ = device.HasWork;
        return status != PopStatus.BrokenRing;
    }

    private static void Return(DeviceSide device, Chain[] chains, bool deviceWrites)
    {
        if (deviceWrites)
        {
            Array.ForEach(chains, chain => device.Use(in chain, (uint)chain.Length));
        }
        else
        {
            device.UseUnwritten(chains);
        }

        device.Publish();
    }

    private static void Check(RingBench bench, in Chain chain, bool deviceWrites, int size)
    {
        Assert.InRange(chain.Slots, 1, size);
        Assert.InRange(chain.VectorCount, 0, VectorSpace.MaxPerChain);
        ulong length = 0;
        for (int i = 0; i < chain.VectorCount; i++)
        {
            IoVec vector = bench.Device.Space.Vectors[chain.FirstVector + i];
            Assert.True(bench.Memory.Holds(vector.Base, vector.Length));
            length += vector.Length;
            if (deviceWrites && vector.Length > 0)
            {
                // A device that writes may well write into its own ring, if that is what it is told.
                vector.Base[0] ^= 1;
                vector.Base[vector.Length - 1] ^= 1;
            }
        }

        Assert.Equal(length, chain.Length);
        Assert.Equal(chain.Status == PopStatus.BadChain, chain.VectorCount == 0 && chain.Status != PopStatus.Popped);
    }

    private static void ScrambleRing(RingBench bench, RingFormat format, Random random, int descriptors)
    {
        ulong table = bench.Plan.DescriptorAddress - GuardedMemory.UserBase;
        int size = bench.Plan.Size;
        for (int i = 0; i < descriptors; i++)
        {
            WriteDescriptor(bench, random, table + (16 * (ulong)random.Next(size)), format == RingFormat.Packed);
        }

        ushort* driver = (ushort*)bench.Memory.At(bench.Plan.DriverAddress - GuardedMemory.UserBase);
        int words = format == RingFormat.Packed ? 2 : 3 + size;
        for (int i = 0; i < words; i++)
        {
            driver[i] = (ushort)random.Next(random.Next(4) == 0 ? 65_536 : size);
        }

        if (format == RingFormat.Split && random.Next(8) != 0)
        {
            // Mostly an index that can be, or no round would come far.
            driver[1] = (ushort)(bench.Device.Base + (uint)random.Next(size + 1));
        }
    }

    private static void ScrambleTables(RingBench bench, Random random, int entries)
    {
        for (int i = 0; i < entries; i++)
        {
            WriteDescriptor(bench, random, RingBench.Tables + (16 * (ulong)random.Next(4096)), random.Next(2) == 0);
        }
    }

    private static void WriteDescriptor(RingBench bench, Random random, ulong at, bool packed)
    {
        byte* descriptor = bench.Memory.At(at);
        ulong place = Places[random.Next(random.Next(3) == 0 ? Places.Length : 4)];
        *(ulong*)descriptor = place + (ulong)random.Next(-40, 4000);
        *(uint*)(descriptor + 8) = Lengths[random.Next(random.Next(3) == 0 ? Lengths.Length : 7)];
        ushort flags = (ushort)(random.Next(8) & (random.Next(4) == 0 ? 0xffff : 3));
        ushort state = (ushort)((random.Next(2) << 7) | (random.Next(2) << 15));
        ushort other = (ushort)random.Next(random.Next(4) == 0 ? 65_536 : 64);
        *(ushort*)(descriptor + 12) = packed ? other : flags;
        *(ushort*)(descriptor + 14) = packed ? (ushort)(flags | state) : other;
    }
}
