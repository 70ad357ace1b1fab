using System.Numerics;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Memory;
using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>The log of a migration, bit by bit, against what has changed in memory.</summary>
public sealed class DirtyMarkSpec
{
    private const byte Untouched = 0xee;
    private const int Slots = 20;
    private const int SlotSize = 6400;
    private const VirtioFeatures Mergeable = VirtioFeatures.LogAll | VirtioFeatures.MrgRxbuf;

    public static TheoryData<RingFormat, VirtioFeatures, bool> Receivers
    {
        get
        {
            var data = new TheoryData<RingFormat, VirtioFeatures, bool>();
            foreach (RingFormat format in Enum.GetValues<RingFormat>())
            {
                data.Add(format, Mergeable, true);
                data.Add(format, Mergeable | VirtioFeatures.EventIdx, false);
                data.Add(format, VirtioFeatures.LogAll, true);
                data.Add(format, VirtioFeatures.LogAll | VirtioFeatures.EventIdx | VirtioFeatures.InOrder, false);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Receivers))]
    public void Every_page_that_receiving_writes_is_marked_and_no_other(
        RingFormat format, VirtioFeatures features, bool stopsAtLimit)
    {
        using var pump = new LoggedPump(format, RingSide.Rx, features, stopsAtLimit: stopsAtLimit);
        var random = new Random(7);
        int added = 0;
        for (int round = 0; round < 150; round++)
        {
            pump.Bench.Memory.Write(RingBench.Data, Pattern((int)(RingBench.DataEnd - RingBench.Data), Untouched));
            while (pump.Bench.Driver.OutstandingChains < Slots && random.Next(8) != 0)
            {
                pump.Bench.Driver.Add(Chain(added++ % Slots, random));
            }

            pump.Bench.Driver.Publish();
            for (int frames = random.Next(12); frames > 0; frames--)
            {
                pump.Io.Frames.Enqueue(Pattern(12 + random.Next(random.Next(4) == 0 ? 40_000 : 1500), 1));
            }

            (HashSet<ulong> marked, HashSet<ulong> changed) = pump.Run();

            Assert.Empty(changed.Except(marked));
            Assert.Empty(marked.Except(changed).Except(RingPages(pump, format)));
            pump.Bench.Driver.Collect();
        }

        Assert.True(added > 5 * Slots, "too few chains came back for the test to mean anything");
    }

    [Theory]
    [InlineData(RingFormat.Split, VirtioFeatures.LogAll)]
    [InlineData(RingFormat.Split, VirtioFeatures.LogAll | VirtioFeatures.EventIdx | VirtioFeatures.InOrder)]
    [InlineData(RingFormat.Packed, VirtioFeatures.LogAll)]
    [InlineData(RingFormat.Packed, VirtioFeatures.LogAll | VirtioFeatures.EventIdx | VirtioFeatures.InOrder)]
    public void Transmitting_marks_the_ring_and_nothing_else(RingFormat format, VirtioFeatures features)
    {
        using var pump = new LoggedPump(format, RingSide.Tx, features);
        for (int round = 0; round < 100; round++)
        {
            for (int i = 0; i < 1 + (round % 40); i++)
            {
                pump.Bench.Driver.Add(new Piece(RingBench.Data, 60));
            }

            pump.Bench.Driver.Publish();

            (HashSet<ulong> marked, HashSet<ulong> changed) = pump.Run();

            Assert.NotEmpty(changed);
            Assert.Empty(changed.Except(marked));
            Assert.Empty(marked.Except(RingPages(pump, format)));
            pump.Bench.Driver.Collect();
        }
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void Without_the_flag_for_the_used_ring_only_received_data_is_marked(RingFormat format)
    {
        using var pump = new LoggedPump(format, RingSide.Rx, Mergeable, logUsed: false);
        (HashSet<ulong> marked, HashSet<ulong> changed) = ReceiveOne(pump);

        Assert.Equal([RingBench.Data / LoggedPump.Page], marked);
        Assert.NotEmpty(changed.Except(marked));
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void Without_the_feature_only_the_ring_is_marked(RingFormat format)
    {
        using var pump = new LoggedPump(format, RingSide.Rx, VirtioFeatures.MrgRxbuf);
        (HashSet<ulong> marked, HashSet<ulong> changed) = ReceiveOne(pump);

        Assert.Equal([RingBench.Data / LoggedPump.Page], changed.Except(marked));
        Assert.Empty(marked.Except(RingPages(pump, format)));
    }

    [Theory]
    [InlineData(IoEngine.Syscall, VirtioFeatures.None)]
    [InlineData(IoEngine.Syscall, VirtioFeatures.RingPacked)]
    [InlineData(IoEngine.IoUring, VirtioFeatures.None)]
    public void Once_a_log_is_switched_nothing_is_marked_in_the_old_one(IoEngine engine, VirtioFeatures format)
    {
        using var bench = new WorkerBench(engine, WorkerBench.Modern | VirtioFeatures.LogAll | format);
        using var first = new SharedFile(0x1000);
        using var second = new SharedFile(0x1000);
        bench.Guest.PostAll();
        bench.Do(new StartRing(RingSide.Rx, bench.PlanOf(RingSide.Rx) with { LogUsed = bench.Guest.Rx.Addresses.Device }));
        bench.Do(new StartRing(RingSide.Tx, bench.PlanOf(RingSide.Tx) with { LogUsed = bench.Guest.Tx.Addresses.Device }));
        Assert.True(Echo(bench, first) == 0, "a log was written that nobody had set");

        Switch(bench, first);
        Assert.True(Echo(bench, first) >= 3, "data and two used rings are not all marked");

        Switch(bench, second);
        Assert.Equal(0, first.Mappings);
        first.Write(0, new byte[0x1000]);
        Assert.True(Echo(bench, second) >= 3, "the new log is not used");
        Assert.Equal(0, Marks(first));

        bench.Do(new SetLog(null));
        Assert.Equal(0, second.Mappings);
        second.Write(0, new byte[0x1000]);
        Assert.Equal(0, Echo(bench, second));
    }

    private static void Switch(WorkerBench bench, SharedFile file)
    {
        DirtyLog log = DirtyLog.Map(0x1000, 0, file.Fd);
        bench.Do(new SetLog(log));
        log.Release();
    }

    /// <summary>A frame to the guest and one from it; gives how many pages the log has then.</summary>
    private static int Echo(WorkerBench bench, SharedFile log)
    {
        bench.SendToGuest(Pattern(200, 1));
        bench.GuestReceives();
        Assert.True(bench.Guest.TrySend(Pattern(200, 2)));
        bench.Guest.FlushTx();
        bench.Tap.Receive();
        bench.ReclaimAll();
        return Marks(log);
    }

    private static int Marks(SharedFile log) =>
        log.Read(0, 0x1000).Sum(bits => BitOperations.PopCount(bits));

    private static (HashSet<ulong> Marked, HashSet<ulong> Changed) ReceiveOne(LoggedPump pump)
    {
        pump.Bench.Driver.Add(new Piece(RingBench.Data, 2000, true));
        pump.Bench.Driver.Publish();
        pump.Io.Frames.Enqueue(Pattern(100, 1));
        return pump.Run();
    }

    /// <summary>Pages of the parts of the ring that the device writes.</summary>
    private static IEnumerable<ulong> RingPages(LoggedPump pump, RingFormat format)
    {
        yield return pump.DevicePart / LoggedPump.Page;
        if (format == RingFormat.Packed)
        {
            yield return (pump.Bench.Plan.DescriptorAddress - GuardedMemory.UserBase) / LoggedPump.Page;
        }
    }

    /// <summary>A receive chain cut at random within a slot of its own; the first piece may be shorter than the header.</summary>
    private static Piece[] Chain(int slot, Random random)
    {
        var pieces = new List<Piece>();
        uint offset = (uint)random.Next(100);
        uint end = (uint)random.Next(1000, SlotSize);
        while (offset < end && pieces.Count < 3)
        {
            uint length = Math.Min(end - offset, (uint)random.Next(1, 3000));
            pieces.Add(new Piece(RingBench.Data + (ulong)(slot * SlotSize) + offset, length, true));
            offset += length + (uint)random.Next(3);
        }

        return [.. pieces];
    }

    private static byte[] Pattern(int length, byte value)
    {
        byte[] bytes = new byte[length];
        Array.Fill(bytes, value);
        return bytes;
    }
}
