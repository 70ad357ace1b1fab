using Ringmaster.Native.Driver;
using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>
/// Frames for which the driver's mergeable buffers have no room are held for a while, and no longer; they keep their order.
/// </summary>
public sealed class HeldFrameSpec
{
    private const int LongFrame = 20_000;
    private const int Header = 12;

    /// <summary>A driver owes no device room for the longest frame: it may post few buffers, or small ones.</summary>
    [Theory]
    [InlineData(IoEngine.Syscall, 8, 8, false)]
    [InlineData(IoEngine.Syscall, 64, 8, false)]
    [InlineData(IoEngine.Syscall, 64, 8, true)]
    [InlineData(IoEngine.Auto, 64, 8, false)]
    public void A_frame_longer_than_all_buffers_that_a_driver_posts_does_not_stop_the_ring(
        IoEngine engine, int queueSize, int buffers, bool packed)
    {
        VirtioFeatures features = WorkerBench.Modern | (packed ? VirtioFeatures.RingPacked : 0);
        var options = new VirtioNetOptions { QueueSize = queueSize, ReceiveBuffers = buffers, ReceiveBufferSize = 1000 };
        using var bench = new WorkerBench(engine, features, options);
        bench.StartBoth();

        bench.SendToGuest(new byte[LongFrame]);
        bench.SendToGuest(new byte[60]);
        Assert.Equal(60, bench.GuestReceives().Frame.Length);
        bench.SendToGuest(new byte[5000]);
        Assert.Equal(5000, bench.GuestReceives().Frame.Length);

        Assert.Equal(1, bench.Counters[WorkerCounter.RxDropped]);
        Assert.Equal(2, bench.Counters[WorkerCounter.RxFrames]);
    }

    /// <summary>
    /// An engine that has submitted all its reads gets more frames than there is room for when, after short frames, long ones
    /// come at once.
    /// </summary>
    [Theory]
    [InlineData(RingFormat.Split, true)]
    [InlineData(RingFormat.Split, false)]
    [InlineData(RingFormat.Packed, true)]
    [InlineData(RingFormat.Packed, false)]
    public void All_frames_of_a_batch_arrive_in_order_however_few_buffers_there_are(RingFormat format, bool stopsAtLimit)
    {
        using var pump = new LoggedPump(format, RingSide.Rx, VirtioFeatures.MrgRxbuf, stopsAtLimit: stopsAtLimit);
        int[] lengths = [.. Enumerable.Repeat(60, 100), .. Enumerable.Range(0, 40).Select(i => i % 4 == 3 ? 60 : 9014)];
        for (int i = 0; i < lengths.Length; i++)
        {
            byte[] frame = new byte[Header + lengths[i]];
            frame.AsSpan(Header).Fill((byte)i);
            pump.Io.Frames.Enqueue(frame);
        }

        List<(int Length, byte Number)> arrived = [];
        int added = 0;
        for (int round = 0; round < 200 && arrived.Count < lengths.Length; round++)
        {
            while (pump.Bench.Driver.FreeSlots > 0)
            {
                pump.Bench.Driver.Add(new Piece(RingBench.Data + (ulong)(1900 * (added++ % 64)), 1900, Writable: true));
            }

            pump.Bench.Driver.Publish();
            pump.Run();
            arrived.AddRange(Frames(pump.Bench));
        }

        Assert.Equal(lengths.Select((length, i) => (length, (byte)i)), arrived);
    }

    /// <summary>Puts the frames together of which the buffers came back.</summary>
    private static IEnumerable<(int Length, byte Number)> Frames(RingBench bench)
    {
        Queue<Returned> buffers = new(bench.Driver.Collect());
        while (buffers.TryDequeue(out Returned first))
        {
            byte[] head = bench.Memory.Read(first.Pieces[0].Address, (int)first.Length);
            int length = (int)first.Length - Header;
            for (int more = BitConverter.ToUInt16(head, 10) - 1; more > 0; more--)
            {
                length += (int)buffers.Dequeue().Length;
            }

            yield return (length, head[Header]);
        }
    }
}
