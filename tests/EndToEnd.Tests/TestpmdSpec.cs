using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>
/// DPDK's virtio-user drives the device; the kernel's counters at the TAP are the witness. One back-end process serves
/// every front-end of the class, one after the other.
/// </summary>
public sealed class TestpmdSpec(TestpmdSpec.ServedTap served) : IClassFixture<TestpmdSpec.ServedTap>
{
    private const int Frames = 20_000;

    /// <summary>At most so many frames are on their way, so that no queue on the way overflows.</summary>
    private const int Window = 128;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(20);

    public static TheoryData<int, bool, int> Shapes
    {
        get
        {
            TheoryData<int, bool, int> shapes = [];
            foreach (int queues in new[] { 1, 2 })
            {
                foreach (bool mergeable in new[] { false, true })
                {
                    shapes.Add(queues, mergeable, 256);
                    shapes.Add(queues, mergeable, 1024);
                }
            }

            return shapes;
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Shapes))]
    public async Task Every_frame_that_testpmd_sends_arrives_at_the_TAP(int queues, bool mergeable, int queueSize)
    {
        IBackend backend = await served.BackendAsync(queues);
        TestpmdOptions options = new(queues, mergeable, queueSize);
        await using TestpmdFrontEnd testpmd = await TestpmdFrontEnd.StartAsync(backend, options);
        InterfaceCounters before = served.Counters();

        await testpmd.StartForwardingAsync("txonly");
        long arrived = await Eventually.GetAsync(
            () => served.Counters().ReceivedFrames - before.ReceivedFrames, frames => frames >= Frames, Timeout);
        await testpmd.StopForwardingAsync();

        Assert.True(arrived >= Frames, $"{arrived} frames arrived in {Timeout}; the back-end printed:\n{backend.Process.Output}");
        TestpmdCounters sent = await testpmd.CountersAsync();
        Assert.All(sent.SentByQueue, frames => Assert.True(frames > 0, $"per queue: {string.Join(", ", sent.SentByQueue)}"));
        await Eventually.EqualAsync(sent.Sent, () => served.Counters().ReceivedFrames - before.ReceivedFrames, Timeout);
        Assert.Equal(sent.Sent * 64, served.Counters().ReceivedBytes - before.ReceivedBytes);
        await testpmd.QuitAsync();
    }

    [SkippableTheory]
    [MemberData(nameof(Shapes))]
    public async Task Every_frame_that_the_host_sends_arrives_in_testpmd(int queues, bool mergeable, int queueSize)
    {
        IBackend backend = await served.BackendAsync(queues);
        TestpmdOptions options = new(queues, mergeable, queueSize);
        await using TestpmdFrontEnd testpmd = await TestpmdFrontEnd.StartAsync(backend, options);
        await testpmd.StartForwardingAsync("rxonly");
        InterfaceCounters before = served.Counters();
        using PacketSocket host = served.OpenHost();

        for (int number = 0; number < Frames; number++)
        {
            host.Send(TestFrame.Build(number, SizeOf(number)));
            if (number % Window == Window - 1)
            {
                await Eventually.EqualAsync(number + 1, () => served.Counters().SentFrames - before.SentFrames, Timeout);
            }
        }

        await Eventually.EqualAsync(Frames, () => served.Counters().SentFrames - before.SentFrames, Timeout);
        Assert.Equal(before.SentDropped, served.Counters().SentDropped);
        TestpmdCounters received = await testpmd.CountersWhenAsync(counters => counters.Received >= Frames, Timeout);
        Assert.Equal(Frames, received.Received);
        Assert.All(
            received.ReceivedByQueue,
            frames => Assert.True(frames > 0, $"per queue: {string.Join(", ", received.ReceivedByQueue)}"));
        await testpmd.QuitAsync();
    }

    /// <summary>Sizes from 60 to 1514 bytes, each of them used.</summary>
    private static int SizeOf(int number) => TestFrame.MinimumSize + (number % (1514 - TestFrame.MinimumSize + 1));

    public sealed class ServedTap : BackendFixture
    {
        private int _queuePairs;

        /// <summary>
        /// The device has two queue pairs, whatever the front-end uses of them. DPDK's back-end leaves the TAP queue of an
        /// unused pair attached, where frames strand, so that one is given as many pairs as the front-end has.
        /// </summary>
        internal async Task<IBackend> BackendAsync(int queues)
        {
            Require.Program("dpdk-testpmd", "dpdk-dev");
            int queuePairs = Backends.IsRingmaster ? 2 : queues;
            if (_queuePairs != queuePairs)
            {
                await StartAsync(new BackendOptions { QueuePairs = queuePairs });
                _queuePairs = queuePairs;
            }

            return Backend;
        }
    }
}
