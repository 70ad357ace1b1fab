using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;

namespace Ringmaster.EndToEnd.Tests.Matrix;

/// <summary>
/// Every combination of ring format, indirect descriptors, event index, mergeable buffers, IN_ORDER, queue pairs and queue
/// size, with frames from the smallest to the largest both ways through a real TAP: no loss, no duplicate, no byte changed,
/// order kept. One back-end serves all cells, one after the other.
/// </summary>
public sealed class ConformanceMatrixSpec(MatrixCard served) : IClassFixture<MatrixCard>
{
    /// <summary>The longest frame that a driver sends: TCP over IPv6 with all that a virtio-net buffer of 64 KiB holds.</summary>
    private const int LongestSend = 65_550;
    private static readonly Dictionary<string, RingCell> CellsByName = RingCell.All.ToDictionary(cell => cell.ToString());

    public static TheoryData<string> Cells => [.. CellsByName.Keys];

    [SkippableTheory]
    [MemberData(nameof(Cells))]
    public async Task Every_frame_of_every_size_crosses_once_unchanged_and_in_order(string cell)
    {
        RingCell ring = CellsByName[cell];
        using PacketSocket host = await served.HostAsync();
        using VirtioNetDriver driver = served.Connect(ring.Options);
        Assert.Equal(ring.Features, driver.Features & RingCell.Switched);
        MatrixExchange exchange = new(driver, host);

        // More than one lap of each ring.
        exchange.Move(60, ring.Pairs * (ring.QueueSize + 70));
        exchange.Move(1514, 96);
        exchange.Move(MatrixFrame.LargestPlain, 64);
        exchange.Move(MatrixFrame.LongestWhole, 8);
        Assert.Equal((8, 0), (exchange.ToGuest.Whole, exchange.ToGuest.Segments));

        // Longer than 64 KiB: whole from the guest, and cut by the host's kernel on the way to it.
        exchange.Move(LongestSend, 8);
        Assert.Equal((16, 0), (exchange.ToHost.Whole, exchange.ToHost.Segments));
        Assert.Equal(8, exchange.ToGuest.Whole);
        Assert.All(exchange.ToHost.ArrivedByLane, frames => Assert.True(frames > 0));
        Assert.All(exchange.ToGuest.ArrivedByLane, frames => Assert.True(frames > 0));
        Assert.Empty(driver.Pairs.SelectMany(pair => pair.ForeignRx.Concat(pair.ForeignTx)));
    }
}
