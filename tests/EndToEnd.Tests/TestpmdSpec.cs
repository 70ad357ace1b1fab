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
        InterfaceCounters before = Counters(backend);

        await testpmd.StartForwardingAsync("txonly");
        long arrived = await Eventually.GetAsync(
            () => Counters(backend).ReceivedFrames - before.ReceivedFrames, frames => frames >= Frames, Timeout);
        await testpmd.StopForwardingAsync();

        Assert.True(arrived >= Frames, $"{arrived} frames arrived in {Timeout}; the back-end printed:\n{backend.Process.Output}");
        TestpmdCounters sent = await testpmd.CountersAsync();
        Assert.All(sent.SentByQueue, frames => Assert.True(frames > 0, $"per queue: {string.Join(", ", sent.SentByQueue)}"));
        await Eventually.EqualAsync(sent.Sent, () => Counters(backend).ReceivedFrames - before.ReceivedFrames, Timeout);
        Assert.Equal(sent.Sent * 64, Counters(backend).ReceivedBytes - before.ReceivedBytes);
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
        InterfaceCounters before = Counters(backend);
        using PacketSocket host = PacketSocket.Open(backend.Namespace, backend.Tap);

        for (int number = 0; number < Frames; number++)
        {
            host.Send(TestFrame.Build(number, SizeOf(number)));
            if (number % Window == Window - 1)
            {
                await Eventually.EqualAsync(number + 1, () => Counters(backend).SentFrames - before.SentFrames, Timeout);
            }
        }

        await Eventually.EqualAsync(Frames, () => Counters(backend).SentFrames - before.SentFrames, Timeout);
        Assert.Equal(before.SentDropped, Counters(backend).SentDropped);
        TestpmdCounters received = await testpmd.CountersWhenAsync(counters => counters.Received >= Frames, Timeout);
        Assert.Equal(Frames, received.Received);
        Assert.All(
            received.ReceivedByQueue,
            frames => Assert.True(frames > 0, $"per queue: {string.Join(", ", received.ReceivedByQueue)}"));
        await testpmd.QuitAsync();
    }

    [SkippableTheory]
    [MemberData(nameof(Shapes))]
    public async Task Every_frame_that_testpmd_forwards_comes_back_unchanged(int queues, bool mergeable, int queueSize)
    {
        IBackend backend = await served.BackendAsync(queues);
        await ForwardAsync(backend, new TestpmdOptions(queues, mergeable, queueSize));
    }

    [SkippableTheory]
    [InlineData(true, false, false)]
    [InlineData(true, false, true)]
    [InlineData(true, true, true)]
    [InlineData(false, true, true)]
    public async Task Packed_rings_and_rings_in_order_do_the_same(bool packed, bool inOrder, bool mergeable)
    {
        IBackend backend = await served.BackendAsync(queues: 2);
        await ForwardAsync(backend, new TestpmdOptions(2, mergeable, 256) { Packed = packed, InOrder = inOrder });
    }

    private static async Task ForwardAsync(IBackend backend, TestpmdOptions options)
    {
        await using TestpmdFrontEnd testpmd = await TestpmdFrontEnd.StartAsync(backend, options);
        await testpmd.StartForwardingAsync("io");
        InterfaceCounters before = Counters(backend);
        using PacketSocket host = PacketSocket.Open(backend.Namespace, backend.Tap);
        HashSet<int> missing = [];

        for (int number = 0; number < Frames; number++)
        {
            missing.Add(number);
            host.Send(TestFrame.Build(number, SizeOf(number)));
            while (missing.Count >= Window || (number == Frames - 1 && missing.Count > 0))
            {
                byte[]? frame = host.Receive(Timeout);
                Assert.True(frame is not null, $"{missing.Count} of {number + 1} frames did not come back: {missing.Min()} ...");
                int returned = TestFrame.NumberOf(frame)
                    ?? throw new InvalidDataException($"a frame that was not sent: {Convert.ToHexString(frame)}");
                Assert.True(missing.Remove(returned), $"frame {returned} came back twice");
                Assert.Equal(TestFrame.Build(returned, SizeOf(returned)), frame);
            }
        }

        InterfaceCounters after = Counters(backend);
        Assert.Equal(Frames, after.SentFrames - before.SentFrames);
        Assert.Equal(Frames, after.ReceivedFrames - before.ReceivedFrames);
        await testpmd.QuitAsync();
    }

    /// <summary>Sizes from 60 to 1514 bytes, each of them used.</summary>
    private static int SizeOf(int number) => TestFrame.MinimumSize + (number % (1514 - TestFrame.MinimumSize + 1));

    private static InterfaceCounters Counters(IBackend backend) =>
        backend.Namespace.CountersOf(backend.Tap) ?? throw new InvalidOperationException($"{backend.Tap} is gone");

    /// <summary>A namespace and a back-end, made on first use so that a missing requirement skips instead of failing.</summary>
    public sealed class ServedTap : IAsyncLifetime
    {
        private TestNamespace? _namespace;
        private IBackend? _backend;
        private int _queuePairs;

        public Task InitializeAsync() => Task.CompletedTask;

        public async Task DisposeAsync()
        {
            if (_backend is not null)
            {
                await _backend.DisposeAsync();
            }

            if (_namespace is not null)
            {
                await _namespace.DisposeAsync();
            }
        }

        /// <summary>
        /// The device has two queue pairs, whatever the front-end uses of them. DPDK's back-end leaves the TAP queue of an
        /// unused pair attached, where frames strand, so that one is given as many pairs as the front-end has.
        /// </summary>
        internal async Task<IBackend> BackendAsync(int queues)
        {
            Require.Root();
            Require.Program("dpdk-testpmd", "dpdk-dev");
            int queuePairs = Backends.IsRingmaster ? 2 : queues;
            _namespace ??= await TestNamespace.CreateAsync();
            if (_backend is not null && _queuePairs != queuePairs)
            {
                await _backend.DisposeAsync();
                _backend = null;
            }

            _queuePairs = queuePairs;
            return _backend ??= await Backends.StartAsync(_namespace, new BackendOptions { QueuePairs = queuePairs });
        }
    }
}
