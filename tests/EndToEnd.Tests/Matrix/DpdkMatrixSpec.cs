using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests.Matrix;

/// <summary>
/// A sample of the matrix with a driver that no one here wrote: DPDK's virtio-user. testpmd sends back what it receives, on the
/// queue pair it came by, and every frame is accounted for at the host's side of the TAP.
/// </summary>
/// <remarks>
/// The cells are such that each two of the switches that a virtio-user port has meet in every combination
/// (<see cref="Pairwise"/>). Its driver knows no event index, and uses indirect descriptors for frames in several packet buffers.
/// It has seven paths by which it receives: those that no cell of the sample takes it to, and a ring whose size is no power of
/// two, have a cell besides.
/// </remarks>
public sealed class DpdkMatrixSpec(MatrixCard served) : IClassFixture<MatrixCard>
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(20);

    private static readonly Cell[] Sample =
    [
        new(packed: false, mergeable: false, inOrder: false, 1, 64, vectorized: true),
        new(packed: true, mergeable: false, inOrder: true, 1, 256, vectorized: true),
        new(packed: false, mergeable: true, inOrder: false, 2, 256, vectorized: false),
        new(packed: true, mergeable: true, inOrder: false, 2, 1024, vectorized: true),
        new(packed: false, mergeable: true, inOrder: true, 1, 1024, vectorized: false),
        new(packed: true, mergeable: true, inOrder: true, 2, 64, vectorized: false),
        new(packed: true, mergeable: false, inOrder: false, 2, 1024, vectorized: false),
    ];

    private static readonly Cell[] Besides =
    [
        new(packed: false, mergeable: false, inOrder: false, 2, 256, vectorized: false),
        new(packed: true, mergeable: true, inOrder: true, 2, 96, vectorized: false),
    ];

    private static readonly Dictionary<string, Cell> CellsByName =
        Sample.Concat(Besides).ToDictionary(cell => cell.ToString());

    public static TheoryData<string> Cells => [.. CellsByName.Keys];

    [Fact]
    public void Each_two_switches_meet_in_every_combination() => Assert.Empty(Pairwise.Missing(
        Sample,
        cell => cell.Ring.Packed, cell => cell.Ring.Mergeable, cell => cell.Ring.InOrder, cell => cell.Ring.Pairs,
        cell => cell.Ring.QueueSize, cell => cell.Vectorized));

    [SkippableTheory]
    [MemberData(nameof(Cells))]
    public async Task Every_frame_comes_back_from_testpmd_once_unchanged_and_in_order(string cell)
    {
        RingCell ring = CellsByName[cell].Ring;
        using PacketSocket host = await served.HostAsync();
        int mark = served.Backend.Process.Mark;
        await using TestpmdFrontEnd testpmd = await TestpmdFrontEnd.StartAsync(served.Backend, CellsByName[cell].Options);
        Assert.Equal(ring.Features, testpmd.Features & RingCell.Switched);

        // Until then the TAP has one queue less, and a flow stays with the queue that the guest has answered it by.
        await served.Backend.Process.LineAsync($"pair {ring.Pairs - 1}: Tx queue changed, enabled", Timeout, mark);
        await testpmd.StartForwardingAsync("io");
        InterfaceCounters before = served.Counters();
        MirrorExchange exchange = new(host);

        // More than one lap of each ring. testpmd drops what finds no room in the ring that it leaves by, so that a window is no
        // more than a quarter of a ring.
        int window = Math.Min(32, ring.QueueSize / 4);
        exchange.Move(60, ring.Pairs * (ring.QueueSize + 70), window);
        exchange.Move(1514, 200, window);
        exchange.Move(MatrixFrame.LargestPlain, 100, window);

        int all = exchange.Account.ArrivedByLane.Sum();
        TestpmdCounters counters = await testpmd.CountersWhenAsync(
            moved => moved.Received >= all && moved.Sent >= all, Timeout);
        Assert.Equal((all, all), (counters.Received, counters.Sent));
        Assert.DoesNotContain(0, counters.ReceivedByQueue.Concat(counters.SentByQueue));
        InterfaceCounters after = served.Counters();
        Assert.Equal((all, all), (after.SentFrames - before.SentFrames, after.ReceivedFrames - before.ReceivedFrames));
        await testpmd.QuitAsync();
    }

    private sealed record Cell(RingCell Ring, bool Vectorized)
    {
        internal Cell(bool packed, bool mergeable, bool inOrder, int pairs, int size, bool vectorized)
            : this(new RingCell(packed, Indirect: true, EventIndex: false, mergeable, inOrder, pairs, size), vectorized)
        {
        }

        internal TestpmdOptions Options => new(Ring.Pairs, Ring.Mergeable, Ring.QueueSize)
        {
            Packed = Ring.Packed,
            InOrder = Ring.InOrder,
            Vectorized = Vectorized,
            LongestFrame = MatrixFrame.LargestPlain,
        };

        public override string ToString() => $"{Ring}{(Vectorized ? " vectorized" : "")}";
    }
}
