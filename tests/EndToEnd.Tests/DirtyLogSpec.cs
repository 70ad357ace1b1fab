using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>The log of live migration, page by page, against the bytes that have changed in guest memory.</summary>
public sealed class DirtyLogSpec : BackendFixture
{
    private const int Frames = 600;
    private const VirtioFeatures Packed = VirtioFeatures.RingPacked;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    /// <summary>
    /// The log is read and cleared again and again, as a migration does. So many frames go that each ring goes round, so that
    /// all of its device's part was written to.
    /// </summary>
    [SkippableTheory]
    [InlineData(VirtioFeatures.None)]
    [InlineData(Packed)]
    [InlineData(Packed | VirtioFeatures.InOrder)]
    [InlineData(VirtioFeatures.InOrder)]
    public async Task Every_page_that_the_device_wrote_is_marked_and_no_other(VirtioFeatures format)
    {
        await StartAsync();
        using PacketSocket host = OpenHost();
        using VirtioNetDriver driver = Connect(format);
        using var log = new TestLog(driver.Ram);
        using var call = new EventFd();
        NetQueuePair pair = driver.Pairs[0];
        FrameExchange.Run(driver, host, 50);
        DirtyPages.Prepare(driver, pair);
        driver.Client.SetLogFd(call.Fd);
        Assert.Equal(0UL, driver.Client.SetLogBase(log.Size, 0, log.File));
        TestLog.Switch(driver, on: true);
        call.Drain();

        HashSet<ulong> marked = [];
        for (int round = 0; round < 4; round++)
        {
            FrameExchange.Run(driver, host, Frames / 4);
            marked.UnionWith(log.TakeAll());
        }

        driver.StopRings();
        marked.UnionWith(log.TakeAll());
        Assert.Equal(DirtyPages.WrittenByDevice(driver, pair).Order(), marked.Order());
        Assert.NotEqual(0UL, call.Drain());
    }

    /// <summary>
    /// As a migration does it: marks are fetched and cleared, and their pages copied, again and again while frames flow.
    /// Whatever the device wrote too late for one round is in the next.
    /// </summary>
    [SkippableFact]
    public async Task A_copy_that_follows_the_log_while_frames_flow_ends_as_the_memory_itself()
    {
        await StartAsync();
        using PacketSocket host = OpenHost();
        using VirtioNetDriver driver = Connect(VirtioFeatures.None);
        using var log = new TestLog(driver.Ram);
        Assert.Equal(0UL, driver.Client.SetLogBase(log.Size, 0, log.File));
        TestLog.Switch(driver, on: true);
        NetQueuePair pair = driver.Pairs[0];
        int size = (int)driver.Ram.Regions[0].Size;
        byte[] copy = driver.Ram.Bytes(0, size).ToArray();

        Task traffic = Task.Run(() => FrameExchange.Run(driver, host, 4 * Frames));
        int rounds = 0;
        for (; !traffic.IsCompleted; rounds++)
        {
            Follow(driver.Ram, log, copy);
        }

        await traffic;
        driver.StopRings();
        Follow(driver.Ram, log, copy);

        Assert.True(rounds > 1);
        AssertSame(driver.Ram, copy, pair.ReceiveBuffers, pair.ReceiveBufferBytes);
        foreach (DriverRing ring in new[] { pair.Rx, pair.Tx })
        {
            AssertSame(driver.Ram, copy, ring.Addresses.Device, 4 + (8 * ring.Size));
        }
    }

    [SkippableFact]
    public async Task Nothing_is_marked_once_LOG_ALL_and_the_rings_logs_are_off_again()
    {
        await StartAsync();
        using PacketSocket host = OpenHost();
        using VirtioNetDriver driver = Connect(VirtioFeatures.None);
        using var log = new TestLog(driver.Ram);
        Assert.Equal(0UL, driver.Client.SetLogBase(log.Size, 0, log.File));
        FrameExchange.Run(driver, host, 50);
        Assert.Empty(log.TakeAll());

        TestLog.Switch(driver, on: true);
        FrameExchange.Run(driver, host, 50);
        Assert.NotEmpty(log.TakeAll());

        TestLog.Switch(driver, on: false);
        log.TakeAll();
        FrameExchange.Run(driver, host, 50);
        Assert.Empty(log.TakeAll());
    }

    [SkippableFact]
    public async Task After_the_reply_to_SET_LOG_BASE_nothing_is_written_to_the_last_log()
    {
        await StartAsync();
        using PacketSocket host = OpenHost();
        using VirtioNetDriver driver = Connect(VirtioFeatures.None);
        using var first = new TestLog(driver.Ram);
        using var second = new TestLog(driver.Ram);
        Assert.Equal(0UL, driver.Client.SetLogBase(first.Size, 0, first.File));
        TestLog.Switch(driver, on: true);
        (TestLog current, TestLog last) = (second, first);
        for (int round = 0; round < 20; round++)
        {
            // Frames are on their way while the log changes.
            for (int number = 0; number < 64; number++)
            {
                host.Send(TestFrame.Build(number, 1000));
            }

            Assert.Equal(0UL, driver.Client.SetLogBase(current.Size, 0, current.File));
            last.TakeAll();
            Drain(driver, 64);

            Assert.Empty(last.TakeAll());
            (current, last) = (last, current);
        }

        // And a frame later it is the current one that is written to.
        FrameExchange.Run(driver, host, 16);
        Assert.NotEmpty(last.TakeAll());
    }

    [SkippableFact]
    public async Task A_log_too_small_for_memory_takes_the_marks_that_it_has_room_for()
    {
        await StartAsync();
        using PacketSocket host = OpenHost();
        using VirtioNetDriver driver = Connect(VirtioFeatures.None);
        using var log = new TestLog(driver.Ram);

        // Receive buffers lie beyond the first 64 pages, the used rings within them. The bytes after the log are a guard.
        Assert.Equal(0UL, driver.Client.SetLogBase(8, 0, log.File));
        TestLog.Switch(driver, on: true);
        FrameExchange.Run(driver, host, 100);

        IReadOnlyList<ulong> marked = log.TakeAll();
        Assert.NotEmpty(marked);
        Assert.All(marked, page => Assert.True(page < 64, $"page {page} is marked"));
    }

    [SkippableFact]
    public async Task A_log_larger_than_its_file_is_refused_and_the_device_goes_on()
    {
        await StartAsync();
        using PacketSocket host = OpenHost();
        using VirtioNetDriver driver = Connect(VirtioFeatures.None);
        using var log = new TestLog(driver.Ram);

        Assert.NotEqual(0UL, driver.Client.SetLogBase(log.FileSize + 1, 0, log.File));
        Assert.NotEqual(0UL, driver.Client.SetLogBase(log.FileSize, DirtyPages.PageSize, log.File));
        TestLog.Switch(driver, on: true);
        FrameExchange.Run(driver, host, 50);
        Assert.Empty(log.TakeAll());
    }

    private static void Follow(GuestRam ram, TestLog log, byte[] copy)
    {
        foreach (ulong page in log.TakeAll())
        {
            ram.Bytes(page * DirtyPages.PageSize, DirtyPages.PageSize).CopyTo(copy.AsSpan((int)page * DirtyPages.PageSize));
        }
    }

    private static void AssertSame(GuestRam ram, byte[] copy, ulong address, int length) =>
        Assert.Equal(-1, Difference(ram.Bytes(address, length), copy.AsSpan((int)address, length)));

    /// <summary>Where two pieces of memory begin to differ; -1 = nowhere.</summary>
    private static int Difference(ReadOnlySpan<byte> one, ReadOnlySpan<byte> other)
    {
        int common = one.CommonPrefixLength(other);
        return common == one.Length ? -1 : common;
    }

    private static void Drain(VirtioNetDriver driver, int frames)
    {
        DateTime deadline = DateTime.UtcNow + Timeout;
        while (frames > 0)
        {
            driver.WaitRx(TimeSpan.FromMilliseconds(100));
            while (driver.Pairs[0].TryReceive(out _, out ReadOnlySpan<byte> frame))
            {
                frames -= TestFrame.NumberOf(frame) is null ? 0 : 1;
            }

            driver.Pairs[0].FlushRx();
            Assert.True(DateTime.UtcNow < deadline, $"{frames} frames did not arrive in the guest");
        }
    }

    private async Task StartAsync()
    {
        Backends.SkipForDpdk("its log is not in question here");
        await StartAsync(new BackendOptions { QueuePairs = 1 });
    }

    private VirtioNetDriver Connect(VirtioFeatures format) => Connect(new VirtioNetOptions
    {
        Features = VirtioNetOptions.ModernFeatures | format,
        ProtocolFeatures = new VirtioNetOptions().ProtocolFeatures | ProtocolFeatures.LogShmfd,
    });
}
