using System.Diagnostics;
using System.Globalization;
using Ringmaster.Native.Driver;

namespace Ringmaster.Bench.Scaling;

/// <summary>
/// The second table: what memory regions cost, when they are shared and with each frame. Frames are sent on a disabled ring, so
/// that they are taken, translated, dropped and returned, and no TAP hides the difference.
/// </summary>
internal static class RegionTable
{
    private const int QueueSize = 1024;
    private const int Rounds = 2000;
    private const int Changes = 50;
    private const int TransmitRing = 1;
    private const uint FrameSize = 76;
    private const ulong MainSize = 16UL << 20;
    private const ulong OtherSize = 64UL << 10;

    private static readonly int[] Counts = [1, 8, 64, 509];

    internal static void Write(Options options, QuietNetwork network, TextWriter output)
    {
        output.WriteLine();
        output.WriteLine("| regions | share all, ms | one out and in again, ms | CPU of a dropped frame, ns |");
        output.WriteLine("|---|---|---|---|");
        using var backend = Backend.Run(options.Executable, network, new Size(1, 1));
        Row(backend, Counts[0]); // the first one warms the process up
        foreach (int regions in Counts)
        {
            output.WriteLine(Row(backend, regions));
            output.Flush();
        }
    }

    private static string Row(Backend backend, int regions)
    {
        var options = new VirtioNetOptions
        {
            QueueSize = QueueSize,
            TransmitBufferSize = 2048,
            ReceiveBufferSize = 2048,
            AddRegions = true,
            Ram = new GuestRamOptions { Pieces = Pieces(regions) },
        };
        long start = Stopwatch.GetTimestamp();
        using var driver = VirtioNetDriver.Prepare(backend.Connect(0), options);
        TimeSpan share = Stopwatch.GetElapsedTime(start);
        driver.StartRings();
        TimeSpan change = Change(driver, regions);
        driver.Client.SetVringEnable(TransmitRing, on: false);
        double perFrame = PerFrame(backend, driver, regions);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"| {regions} | {share.TotalMilliseconds:F1} | {change.TotalMilliseconds:F2} | {perFrame:F0} |");
    }

    private static RamPiece[] Pieces(int regions) =>
    [
        new RamPiece(0, MainSize),
        .. Enumerable.Range(0, regions - 1).Select(i => new RamPiece(MainSize + ((ulong)i * OtherSize), OtherSize)),
    ];

    /// <summary>Removes the last region, while rings run, and adds it again. The only region cannot be removed.</summary>
    private static TimeSpan Change(VirtioNetDriver driver, int regions)
    {
        if (regions == 1)
        {
            return TimeSpan.Zero;
        }

        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Changes; i++)
        {
            driver.Client.RemMemReg(driver.Ram, regions - 1);
            driver.Client.AddMemReg(driver.Ram, regions - 1);
        }

        return Stopwatch.GetElapsedTime(start) / Changes;
    }

    /// <summary>The worker's nanoseconds for one frame; each frame lies in another region than the one before it.</summary>
    private static double PerFrame(Backend backend, VirtioNetDriver driver, int regions)
    {
        NetQueuePair pair = driver.Pairs[0];
        IEnumerable<int> places = Enumerable.Range(0, QueueSize).Select(i => regions - 1 - (i % regions));
        ulong[] buffers = [.. places.Select(region => driver.Ram.Allocate(FrameSize, region: region))];
        Random.Shared.Shuffle(buffers);
        Drop(pair, buffers, Rounds / 10);
        TimeSpan before = backend.WorkerTime(0, 0);
        Drop(pair, buffers, Rounds);
        return (backend.WorkerTime(0, 0) - before).TotalNanoseconds / ((double)Rounds * QueueSize);
    }

    private static void Drop(NetQueuePair pair, ulong[] buffers, int rounds)
    {
        for (int round = 0; round < rounds; round++)
        {
            foreach (ulong buffer in buffers)
            {
                pair.Tx.TryAdd([new RingBuffer(buffer, FrameSize, Writable: false)], token: -1);
            }

            pair.FlushTx();
            while (pair.Tx.Outstanding > 0)
            {
                if (!pair.Tx.TryCollect(out _))
                {
                    Thread.SpinWait(20);
                }
            }
        }
    }
}
