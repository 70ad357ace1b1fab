using Ringmaster.Native.Driver;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>Between the last look at a receive ring and sleep, nothing that came meanwhile may be overlooked.</summary>
public sealed class ReceiveSleepSpec
{
    public static TheoryData<VirtioFeatures> Formats => [WorkerBench.Modern, WorkerBench.Modern | VirtioFeatures.RingPacked];

    [Theory]
    [MemberData(nameof(Formats))]
    public void Buffers_that_come_unkicked_while_a_frame_waits_keep_it_awake(VirtioFeatures features) =>
        Run(features, (bench, pump, tap) =>
        {
            bench.SendToGuest(new byte[60]);
            pump.Awake();
            Assert.False(pump.Run());
            bench.Guest.PostAll();
            Assert.True(tap.Readable);
            Assert.True(pump.PrepareSleep());
            Assert.True(pump.Run());
        });

    [Theory]
    [MemberData(nameof(Formats))]
    public void Without_buffers_it_asks_for_a_kick_and_sleeps_although_a_frame_waits(VirtioFeatures features) =>
        Run(features, (bench, pump, _) =>
        {
            bench.SendToGuest(new byte[60]);
            pump.Awake();
            Assert.False(pump.Run());
            Assert.False(pump.PrepareSleep());
            Assert.True(bench.Guest.Rx.TryAdd([new RingBuffer(0, 2048, Writable: true)], -1));
            Assert.True(bench.Guest.Rx.Publish());
        });

    [Theory]
    [MemberData(nameof(Formats))]
    public void With_buffers_and_no_frame_it_sleeps(VirtioFeatures features) => Run(features, (bench, pump, tap) =>
    {
        bench.Guest.PostAll();
        Assert.False(pump.Run());
        Assert.False(tap.Readable);
        Assert.False(pump.PrepareSleep());
    });

    /// <summary>The bench's own worker has no rings; the pump is driven by hand.</summary>
    private static void Run(VirtioFeatures features, Action<WorkerBench, RingPump, TapReadiness> test)
    {
        using var bench = new WorkerBench(IoEngine.Syscall, features, new VirtioNetOptions { QueueSize = 16 });
        using var io = new SyscallTapIo(bench.Tap.Queue.Fd);
        GuestMemory memory = GuestMemory.Map([.. bench.Ram.Regions.Select((region, i) => (region, bench.Ram.FileOf(i)))]);
        try
        {
            var tap = new TapReadiness();
            var factory = new PumpFactory(io, tap, new WorkerCounters(), Waiting.Limit);
            Assert.Null(factory.Create(RingSide.Rx, bench.PlanOf(RingSide.Rx), new GuestView(memory, null), out RingPump? pump));
            using (pump)
            {
                test(bench, pump!, tap);
            }
        }
        finally
        {
            memory.Release();
        }
    }
}
