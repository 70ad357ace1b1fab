using System.Diagnostics;
using CsCheck;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>
/// A front-end writes what it likes into the in-flight region, before a ring takes it up and while it runs: nothing outside the
/// ring's queue and the guest's memory is touched, and the work is bounded.
/// </summary>
public sealed class InflightHostileSpec
{
    private const int Iterations = 150;
    private const int Rounds = 12;
    private const byte Canary = 0xa5;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void Random_regions_neither_crash_nor_lead_out_of_the_queue(RingFormat format)
    {
        Gen<(int, int)> cases = Gen.Select(
            format == RingFormat.Split ? Gen.Int[0, 8].Select(bits => 1 << bits) : Gen.Int[1, 200],
            Gen.Int);

        RepeatableCheck.Run(cases, Iterations, input => Run(format, input.Item1, input.Item2));
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void A_version_that_is_not_known_breaks_the_ring(RingFormat format)
    {
        using var memory = new InflightMemory(1, 8, format);
        using var bench = new RingBench(format, 8);
        bench.Memory.Inflight = memory.Region;
        memory.Write16(8, 2);

        Assert.Equal(
            "version 2 of the in-flight region is not known",
            DeviceSide.TryAttach(bench.Plan, bench.Memory.View, out _));
    }

    private static void Run(RingFormat format, int size, int seed)
    {
        var random = new Random(seed);
        using var memory = new InflightMemory(2, size, format);
        using var bench = new RingBench(format, size, RingBench.AllFeatures | (random.Next(2) == 0 ? VirtioFeatures.InOrder : 0));
        int length = (int)InflightRegion.SizeOf(1, size, format == RingFormat.Packed);
        memory.Bytes[length..].Fill(Canary);
        bench.Memory.Inflight = memory.Region;
        long start = Stopwatch.GetTimestamp();
        for (int round = 0; round < Rounds; round++)
        {
            Scramble(memory.Bytes[..length], random, size);
            if (DeviceSide.TryAttach(bench.Plan, bench.Memory.View, out DeviceSide? device) is null)
            {
                using (device)
                {
                    Work(bench, device!, memory.Bytes[..length], random);
                }
            }

            Assert.True(memory.Bytes[length..].IndexOfAnyExcept(Canary) < 0, "the next queue was written to");
        }

        Assert.True(Stopwatch.GetElapsedTime(start) < Limit);
    }

    /// <summary>Mostly numbers that can be, or no region would be taken up.</summary>
    private static void Scramble(Span<byte> queue, Random random, int size)
    {
        if (random.Next(3) == 0)
        {
            random.NextBytes(queue);
        }

        int words = random.Next(queue.Length / 2);
        for (int i = 0; i < words; i++)
        {
            int value = random.Next(random.Next(6) == 0 ? 65_536 : size + 1);
            BitConverter.TryWriteBytes(queue[(2 * random.Next(queue.Length / 2))..], (ushort)value);
        }

        queue[8] = (byte)random.Next(8) switch { 0 => 0, 1 => 2, _ => 1 };
        queue[9] = 0;
    }

    private static void Work(RingBench bench, DeviceSide device, Span<byte> queue, Random random)
    {
        for (int batch = 0; batch < 4; batch++)
        {
            if (bench.Driver.FreeSlots > 0)
            {
                bench.Driver.Add(new Piece(RingBench.Data, 64));
                bench.Driver.Publish();
            }

            List<Chain> popped = [];
            while (popped.Count < 64 && device.TryPop(false, out Chain chain) is PopStatus.Popped or PopStatus.BadChain)
            {
                popped.Add(chain);
            }

            Assert.InRange(popped.Sum(chain => chain.Slots), 0, bench.Plan.Size);
            Scramble(queue, random, bench.Plan.Size);
            int keep = random.Next(popped.Count + 1);
            device.Rewind(popped.Skip(keep).Sum(chain => chain.Slots));
            device.UseUnwritten([.. popped.Take(keep)]);
            device.Publish();
            device.MustCall();
            device.RequestKicks(random.Next(bench.Plan.Size + 1));
            device.Space.Truncate(0);
        }
    }
}
