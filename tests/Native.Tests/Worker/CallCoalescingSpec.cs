using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>The driver is called where it waits and nowhere else, and the counters tell how many calls that spared.</summary>
public sealed class CallCoalescingSpec
{
    private const int Bursts = 20;
    private const int Burst = 10;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    public static TheoryData<VirtioFeatures> Formats => [VirtioFeatures.None, VirtioFeatures.RingPacked];

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_driver_that_does_not_wait_is_not_called(VirtioFeatures format)
    {
        using var bench = new WorkerBench(IoEngine.Syscall, WorkerBench.Modern | format);
        bench.StartBoth();
        Send(bench, 1);
        Settle(bench);
        Assert.True(bench.Guest.WaitTx(Patience));
        Assert.Equal(1, bench.Guest.Reclaim());
        Settle(bench);
        long calls = bench.Counters[WorkerCounter.Calls];
        long spared = bench.Counters[WorkerCounter.CallsSuppressed];

        for (int i = 0; i < Bursts; i++)
        {
            Send(bench, Burst);
        }

        // One at most: the wish of a driver that went to wait just when its frame came back.
        Settle(bench);
        Assert.InRange(bench.Counters[WorkerCounter.Calls] - calls, 0, 1);
        Assert.InRange(bench.Counters[WorkerCounter.CallsSuppressed] - spared, Bursts - 1, long.MaxValue);
        Assert.Equal(
            bench.Counters[WorkerCounter.Batches],
            bench.Counters[WorkerCounter.Calls] + bench.Counters[WorkerCounter.CallsSuppressed]);
    }

    /// <summary>Sends frames and waits until the worker has written them, without asking for a call.</summary>
    private static void Send(WorkerBench bench, int frames)
    {
        long wanted = bench.Counters[WorkerCounter.TxFrames] + frames;
        for (int i = 0; i < frames; i++)
        {
            Assert.True(bench.Guest.TrySend(new byte[60]));
        }

        bench.Guest.FlushTx();
        Assert.True(SpinWait.SpinUntil(() => bench.Counters[WorkerCounter.TxFrames] == wanted, Patience));
        for (int i = 0; i < frames; i++)
        {
            bench.Tap.Receive();
        }
    }

    /// <summary>Lets the worker finish its batch: commands are carried out between two of them.</summary>
    private static void Settle(WorkerBench bench) => bench.Do(new UnwatchFd(bench.Guest.TxCall.Fd));
}
