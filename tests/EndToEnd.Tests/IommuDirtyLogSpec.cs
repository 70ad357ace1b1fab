using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>
/// The log of live migration behind an IOMMU. The device writes by IO virtual address and the log counts guest-physical pages.
/// Pieces of memory that are neighbours for the device are far from each other for the guest, in the opposite order and with
/// holes between them, so that no mark is right by chance.
/// </summary>
public sealed class IommuDirtyLogSpec : BackendFixture
{
    private const ulong Elsewhere = 1UL << 28;
    private const int Pieces = 32;
    private const int Frames = 600;
    private const VirtioFeatures Packed = VirtioFeatures.RingPacked;

    [SkippableTheory]
    [InlineData(VirtioFeatures.None)]
    [InlineData(VirtioFeatures.InOrder)]
    [InlineData(Packed)]
    [InlineData(Packed | VirtioFeatures.InOrder)]
    public async Task Every_guest_physical_page_that_the_device_wrote_is_marked_and_no_other(VirtioFeatures format)
    {
        using VirtioNetDriver driver = await ConnectAsync(format);
        using PacketSocket host = OpenHost();
        using BackendInbox inbox = driver.Client.OpenBackendChannel();
        using var iommu = new DriverIommu(driver, inbox);
        using var log = new TestLog(GuestAddressOf(driver, 0) + driver.Ram.Regions[0].Size);
        NetQueuePair pair = driver.Pairs[0];
        driver.StartRings();
        FrameExchange.Run(driver, host, 50);
        DirtyPages.Prepare(driver, pair);
        Assert.Equal(0UL, driver.Client.SetLogBase(log.Size, 0, log.File));
        TestLog.Switch(driver, on: true);

        HashSet<ulong> marked = [];
        for (int round = 0; round < 4; round++)
        {
            FrameExchange.Run(driver, host, Frames / 4);
            marked.UnionWith(log.TakeAll());
        }

        driver.StopRings();
        marked.UnionWith(log.TakeAll());
        Assert.Equal(DirtyPages.WrittenByDevice(driver, pair).Select(page => GuestPageOf(driver, page)).Order(), marked.Order());
    }

    /// <summary>
    /// As a migration does it, while translations are withdrawn and given anew. What is copied is what the log names; in the
    /// end nothing that the device wrote is missing.
    /// </summary>
    [SkippableTheory]
    [InlineData(VirtioFeatures.None)]
    [InlineData(Packed)]
    public async Task A_copy_that_follows_the_log_while_translations_come_and_go_ends_as_the_memory_itself(VirtioFeatures format)
    {
        using VirtioNetDriver driver = await ConnectAsync(format);
        using PacketSocket host = OpenHost();
        using BackendInbox inbox = driver.Client.OpenBackendChannel();
        using var iommu = new DriverIommu(driver, inbox);
        using var log = new TestLog(GuestAddressOf(driver, 0) + driver.Ram.Regions[0].Size);
        NetQueuePair pair = driver.Pairs[0];
        driver.StartRings();
        Assert.Equal(0UL, driver.Client.SetLogBase(log.Size, 0, log.File));
        TestLog.Switch(driver, on: true);
        byte[] copy = driver.Ram.Bytes(0, (int)driver.Ram.Regions[0].Size).ToArray();

        Task traffic = Task.Run(() => FrameExchange.Run(driver, host, Frames / 3));
        await RandomWithdrawals.DuringAsync(driver, iommu, () =>
        {
            while (!traffic.IsCompleted)
            {
                Follow(driver, log, copy);
            }
        });
        await traffic;
        driver.StopRings();
        Follow(driver, log, copy);

        AssertSame(driver, copy, pair.ReceiveBuffers, pair.ReceiveBufferBytes);
        foreach (DriverRing ring in new[] { pair.Rx, pair.Tx })
        {
            AssertSame(driver, copy, ring.Addresses.Device, format.HasFlag(Packed) ? 4 : 4 + (8 * ring.Size));
        }
    }

    private static void Follow(VirtioNetDriver driver, TestLog log, byte[] copy)
    {
        HashSet<ulong> marked = [.. log.TakeAll()];
        foreach (ulong page in DirtyPages.Of(0, copy.Length).Where(page => marked.Contains(GuestPageOf(driver, page))))
        {
            driver.Ram.Bytes(page * DirtyPages.PageSize, DirtyPages.PageSize)
                .CopyTo(copy.AsSpan((int)page * DirtyPages.PageSize));
        }
    }

    private static void AssertSame(VirtioNetDriver driver, byte[] copy, ulong address, int length) => Assert.True(
        driver.Ram.Bytes(address, length).SequenceEqual(copy.AsSpan((int)address, length)), $"the copy differs at 0x{address:x}");

    private static ulong GuestPageOf(VirtioNetDriver driver, ulong page) =>
        GuestAddressOf(driver, page * DirtyPages.PageSize) / DirtyPages.PageSize;

    /// <summary>Where the memory table has what the driver and its device have at an address.</summary>
    private static ulong GuestAddressOf(VirtioNetDriver driver, ulong address)
    {
        ulong size = driver.Ram.Regions[0].Size / Pieces;
        return Elsewhere + ((Pieces - 1 - (address / size)) * 2 * size) + (address % size);
    }

    private async Task<VirtioNetDriver> ConnectAsync(VirtioFeatures format)
    {
        Backends.SkipForDpdk("its log is not in question here");
        await StartAsync(new BackendOptions { QueuePairs = 1, AccessPlatform = true });
        VirtioNetDriver driver = Prepare(new VirtioNetOptions
        {
            Features = VirtioNetOptions.ModernFeatures | VirtioFeatures.AccessPlatform | format,
            ProtocolFeatures = new VirtioNetOptions().ProtocolFeatures | ProtocolFeatures.BackendReq | ProtocolFeatures.LogShmfd,
            TransmitBufferSize = 2048,
            ReceiveBufferSize = 3000, // so that buffers lie across the ends of pages and pieces
        });
        MemoryRegionLayout whole = driver.Ram.Regions[0];
        ulong size = whole.Size / Pieces;
        IEnumerable<MemoryRegionLayout> pieces = Enumerable.Range(0, Pieces).Select(piece => (ulong)piece * size).Select(offset =>
            new MemoryRegionLayout(GuestAddressOf(driver, offset), size, whole.UserAddress + offset, whole.MmapOffset + offset));
        driver.Client.Tell(
            RequestCode.SetMemTable,
            FrontendClient.MemTable([.. pieces]),
            [.. Enumerable.Repeat(driver.Ram.FileOf(0), Pieces)]);
        return driver;
    }
}
