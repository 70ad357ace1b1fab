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
    private const int RacingIterations = 40;
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
    public void Random_memory_neither_crashes_nor_leads_out_of_the_guests_memory(RingFormat format) =>
        RepeatableCheck.Run(Cases(format), Iterations, input => Run(format, input.Size, input.Seed, input.Features));

    /// <summary>The same while another thread writes nonsense to the ring, its tables and its events without a pause.</summary>
    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void Nor_does_memory_that_changes_while_it_is_read(RingFormat format) =>
        RepeatableCheck.Run(Cases(format), RacingIterations, input => Race(format, input.Size, input.Seed, input.Features));

    private static Gen<(int Size, uint Seed, uint Features)> Cases(RingFormat format)
    {
        Gen<int> sizes = format == RingFormat.Split
            ? Gen.OneOf(Gen.Int[0, 10], Gen.Int[0, 10], Gen.Int[11, 15]).Select(bits => 1 << bits)
            : Gen.OneOf(Gen.Int[1, 300], Gen.Int[1, 300], Gen.Int[301, 5000], Gen.Int[32_767, 32_768]);
        return Gen.Select(sizes, Gen.UInt, Gen.UInt[0, 15]);
    }

    private static void Run(RingFormat format, int size, uint seed, uint features)
    {
        var random = new Random((int)seed);
        using var bench = new RingBench(format, size, Features(features));
        ScrambleTables(bench, random, 2000);
        for (int round = 0; round < Rounds; round++)
        {
            ScrambleRing(bench, format, random, random.Next(4 * Math.Min(size, 2000)));
            ScrambleTables(bench, random, 20);
            Take(bench, random);
        }
    }

    private static void Race(RingFormat format, int size, uint seed, uint features)
    {
        var random = new Random((int)seed);
        using var bench = new RingBench(format, size, Features(features));
        ScrambleTables(bench, random, 2000);
        ScrambleRing(bench, format, random, 2 * Math.Min(size, 2000));
        bool over = false;
        var writer = new Thread(() =>
        {
            var other = new Random((int)~seed);
            while (!Volatile.Read(ref over))
            {
                ScrambleRing(bench, format, other, 8);
                ScrambleTables(bench, other, 2);
            }
        });
        writer.Start();
        try
        {
            for (int round = 0; round < Rounds; round++)
            {
                Take(bench, random);
            }
        }
        finally
        {
            Volatile.Write(ref over, true);
            writer.Join();
        }
    }

    /// <summary>One batch within a time; a ring that broke is taken up by another device.</summary>
    private static void Take(RingBench bench, Random random)
    {
        long start = Stopwatch.GetTimestamp();
        if (!TryBatch(bench, random, random.Next(2) == 0))
        {
            bench.Restart();
        }
        else if (random.Next(4) == 0)
        {
            Assert.Null(bench.Device.TryReattach(bench.Plan, bench.Memory.View));
        }

        Assert.True(Stopwatch.GetElapsedTime(start) < RoundLimit);
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
        device.Prefetch(Batch, 2048);
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
