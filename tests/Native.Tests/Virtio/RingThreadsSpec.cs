using System.Diagnostics;
using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>
/// Driver and device on two threads, each of which sleeps whenever the ring lets it. A barrier too few shows as a chain with
/// the wrong contents, or as a wake-up that never comes.
/// </summary>
public sealed class RingThreadsSpec
{
    private const int Chains = 60_000;

    /// <summary>Of a race, on a machine on which the two threads seldom run at the same time.</summary>
    private const int MinRounds = 1000;
    private static readonly TimeSpan RaceTime = TimeSpan.FromMilliseconds(700);
    private static readonly TimeSpan WakeLimit = TimeSpan.FromSeconds(20);

    [Theory]
    [InlineData(RingFormat.Split, 2, VirtioFeatures.None)]
    [InlineData(RingFormat.Split, 64, VirtioFeatures.None)]
    [InlineData(RingFormat.Split, 2, VirtioFeatures.EventIdx)]
    [InlineData(RingFormat.Split, 64, VirtioFeatures.EventIdx | VirtioFeatures.InOrder)]
    [InlineData(RingFormat.Packed, 3, VirtioFeatures.None)]
    [InlineData(RingFormat.Packed, 50, VirtioFeatures.None)]
    [InlineData(RingFormat.Packed, 3, VirtioFeatures.EventIdx)]
    [InlineData(RingFormat.Packed, 50, VirtioFeatures.EventIdx | VirtioFeatures.InOrder)]
    public async Task Neither_side_misses_a_wake_up_or_sees_a_chain_before_its_contents(
        RingFormat format, int size, VirtioFeatures features)
    {
        using var bench = new RingBench(format, size, RingBench.AllFeatures | features);
        using var kick = new SemaphoreSlim(0);
        using var call = new SemaphoreSlim(0);
        using var failed = new CancellationTokenSource();

        Task device = Alone(() => RunDevice(bench, kick, call, failed.Token), failed);
        Task driver = Alone(() => RunDriver(bench, kick, call, failed.Token), failed);

        await Task.WhenAll(device, driver);
    }

    [Theory]
    [InlineData(RingFormat.Split, VirtioFeatures.None)]
    [InlineData(RingFormat.Split, VirtioFeatures.EventIdx)]
    [InlineData(RingFormat.Packed, VirtioFeatures.None)]
    [InlineData(RingFormat.Packed, VirtioFeatures.EventIdx)]
    public async Task A_chain_added_while_kicks_are_asked_for_is_seen_or_kicked(RingFormat format, VirtioFeatures features)
    {
        using var bench = new RingBench(format, 4, RingBench.AllFeatures | features);
        bool seen = false;
        bool kicked = false;

        await AtTheSameTime(
            () =>
            {
                bench.Driver.Add(new Piece(RingBench.Data, 8));
                bench.Driver.Publish();
                kicked = bench.Driver.MustKick();
            },
            () => seen = bench.Device.RequestKicks(0),
            () =>
            {
                Assert.True(seen || kicked);
                Chain chain = bench.Device.Pop();
                bench.Device.Return(in chain);
                bench.Device.Space.Truncate(0);
                bench.Device.SuppressKicks();
                Assert.Single(bench.Driver.Collect());
            });
    }

    [Theory]
    [InlineData(RingFormat.Split, VirtioFeatures.None)]
    [InlineData(RingFormat.Split, VirtioFeatures.EventIdx)]
    [InlineData(RingFormat.Packed, VirtioFeatures.None)]
    [InlineData(RingFormat.Packed, VirtioFeatures.EventIdx)]
    public async Task A_chain_returned_while_calls_are_asked_for_is_seen_or_called_for(RingFormat format, VirtioFeatures features)
    {
        using var bench = new RingBench(format, 4, RingBench.AllFeatures | features);
        int seen = 0;
        bool called = false;
        Chain chain = default;
        Offer();

        await AtTheSameTime(
            () =>
            {
                bench.Driver.WantCalls();
                seen = bench.Driver.Collect().Count;
            },
            () =>
            {
                bench.Device.Return(in chain);
                called = bench.Device.MustCall();
            },
            () =>
            {
                Assert.True(seen == 1 || called);
                Assert.Equal(1 - seen, bench.Driver.Collect().Count);
                bench.Driver.RefuseCalls();
                Offer();
            });

        void Offer()
        {
            bench.Driver.Add(new Piece(RingBench.Data, 8));
            bench.Driver.Publish();
            bench.Device.Space.Truncate(0);
            chain = bench.Device.Pop();
        }
    }

    /// <summary>
    /// Lets both sides take one step at the very same time, again and again, and looks at the outcome in between. One after
    /// the other there is always a right outcome; the wrong one needs a store that is overtaken by a load.
    /// </summary>
    private static async Task AtTheSameTime(Action driver, Action device, Action between)
    {
        using var failed = new CancellationTokenSource();
        long start = Stopwatch.GetTimestamp();
        int round = 0;
        int deviceDone = 0;
        Task other = Alone(
            () =>
            {
                for (int next = 1; ; next++)
                {
                    SpinWait wait = default;
                    while (Volatile.Read(ref round) < next)
                    {
                        if (failed.IsCancellationRequested)
                        {
                            return;
                        }

                        wait.SpinOnce(sleep1Threshold: -1);
                    }

                    Delay(next, odd: 0);
                    device();
                    Volatile.Write(ref deviceDone, next);
                }
            },
            failed);
        try
        {
            for (int next = 1; next <= MinRounds || Stopwatch.GetElapsedTime(start) < RaceTime; next++)
            {
                Volatile.Write(ref round, next);
                Delay(next, odd: 1);
                driver();
                SpinWait wait = default;
                while (Volatile.Read(ref deviceDone) < next && !other.IsCompleted)
                {
                    wait.SpinOnce(sleep1Threshold: -1);
                }

                if (Volatile.Read(ref deviceDone) < next)
                {
                    break;
                }

                between();
            }
        }
        finally
        {
            failed.Cancel();
        }

        await other;
    }

    /// <summary>Makes now one side and now the other later, by a step more each time: the steps are not equally long.</summary>
    private static void Delay(int round, int odd)
    {
        int steps = (round & 1) == odd ? (round >> 1) % 80 : 0;
        for (int i = 0; i < steps; i++)
        {
            Volatile.Read(ref steps);
        }
    }

    /// <summary>Runs one side on a thread of its own; when it fails the other side is let go.</summary>
    private static Task Alone(Action side, CancellationTokenSource failed) => Task.Factory.StartNew(
        () =>
        {
            try
            {
                side();
            }
            catch
            {
                failed.Cancel();
                throw;
            }
        },
        CancellationToken.None,
        TaskCreationOptions.LongRunning,
        TaskScheduler.Default);

    private static unsafe void RunDriver(RingBench bench, SemaphoreSlim kick, SemaphoreSlim call, CancellationToken failed)
    {
        ulong sent = 0;
        ulong returned = 0;
        while (returned < Chains)
        {
            bench.Driver.RefuseCalls();
            int added = 0;
            while (sent < Chains && bench.Driver.FreeSlots > 0)
            {
                ulong buffer = RingBench.Data + (8 * (sent % 128));
                *(ulong*)bench.Memory.At(buffer) = sent++;
                bench.Driver.Add(new Piece(buffer, 8));
                added++;
            }

            bench.Driver.Publish();
            if (added > 0 && bench.Driver.MustKick())
            {
                kick.Release();
            }

            returned += (ulong)bench.Driver.Collect().Count;
            if (bench.Driver.FreeSlots > 0 && sent < Chains)
            {
                continue;
            }

            bench.Driver.WantCalls();
            int late = bench.Driver.Collect().Count;
            returned += (ulong)late;
            if (late == 0 && returned < Chains)
            {
                Assert.True(call.Wait(WakeLimit, failed), $"no call came; {returned} of {sent} chains are back");
            }
        }
    }

    private static unsafe void RunDevice(RingBench bench, SemaphoreSlim kick, SemaphoreSlim call, CancellationToken failed)
    {
        DeviceSide device = bench.Device;
        ulong expected = 0;
        var chains = new Chain[8];
        while (expected < Chains)
        {
            device.SuppressKicks();
            int count = 0;
            device.Space.Truncate(0);
            while (count < chains.Length && device.TryPop(false, out chains[count]) == PopStatus.Popped)
            {
                ulong contents = *(ulong*)device.Space.Vectors[chains[count++].FirstVector].Base;
                Assert.Equal(expected++, contents);
            }

            device.UseUnwritten(chains.AsSpan(0, count));
            device.Publish();
            if (count > 0 && device.MustCall())
            {
                call.Release();
            }

            if (count == 0 && !device.RequestKicks(0))
            {
                Assert.True(kick.Wait(WakeLimit, failed), $"no kick came; {expected} chains were seen");
            }
        }

        Assert.Equal(PopStatus.Empty, device.TryPop(false, out _));
    }
}
