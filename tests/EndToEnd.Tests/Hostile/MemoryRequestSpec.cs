using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>A front-end offers memory that is not there, or says of it what cannot be.</summary>
[Collection(HostileCollection.Name)]
public sealed class MemoryRequestSpec(HostileBackend backend)
{
    private const ulong RamSize = 16UL << 20;
    private const int Slots = 509;

    /// <summary>Descriptions of a region over a file of 16 MiB, each wrong in one point, in both messages for regions.</summary>
    public static TheoryData<string, RequestCode> WrongRegions => Both(WrongRegion.Keys);

    /// <summary>The same for a region beside one that is right.</summary>
    public static TheoryData<string, RequestCode> OverlappingRegions => Both(Overlap.Keys);

    /// <summary>What is no memory.</summary>
    public static TheoryData<string, RequestCode> WrongFiles => Both(WrongFile.Keys);

    private static Dictionary<string, Func<MemoryRegionLayout, MemoryRegionLayout>> WrongRegion => new()
    {
        ["guest addresses wrap around"] = region => region with { GuestAddress = ulong.MaxValue - 0xffff },
        ["user addresses wrap around"] = region => region with { UserAddress = ulong.MaxValue - 0xffff },
        ["offset wraps around"] = region => region with { MmapOffset = ulong.MaxValue - 0xfff },
        ["offset is negative"] = region => region with { MmapOffset = 1UL << 63 },
        ["size is 0"] = region => region with { Size = 0 },
        ["size is all there is"] = region => region with { Size = ulong.MaxValue, GuestAddress = 0, UserAddress = 0 },
        ["size is half of all there is"] = region => region with { Size = 1UL << 63 },
        ["size is a page more than the file"] = region => region with { Size = RamSize + 4096 },
        ["size is a byte more than the file"] = region => region with { Size = RamSize + 1 },
        ["offset is the end of the file"] = region => region with { MmapOffset = RamSize },
        ["offset and size pass the end of the file"] = region => region with { MmapOffset = 4096 },
        ["offset and size wrap around together"] = region => region with { MmapOffset = ulong.MaxValue - 0xfff, Size = 0x2000 },
    };

    private static Dictionary<string, Func<MemoryRegionLayout, MemoryRegionLayout>> Overlap => new()
    {
        ["the same memory at another offset"] = region => region with { MmapOffset = 4096, Size = region.Size - 4096 },
        ["the same guest addresses"] = region => region with { UserAddress = 1UL << 40 },
        ["the same user addresses"] = region => region with { GuestAddress = 1UL << 40 },
        ["guest addresses overlap by a page"] =
            region => region with { GuestAddress = region.GuestAddress + region.Size - 4096, UserAddress = 1UL << 40 },
        ["user addresses overlap by a page"] =
            region => region with { GuestAddress = 1UL << 40, UserAddress = region.UserAddress + region.Size - 4096 },
    };

    private static Dictionary<string, Func<OwnedFd>> WrongFile => new()
    {
        ["/dev/zero"] = () => RawFds.Open("/dev/zero"),
        ["/dev/null"] = () => RawFds.Open("/dev/null"),
        ["a directory"] = () => RawFds.Open("/tmp", RawFds.ReadOnly),
        ["an epoll set"] = RawFds.Epoll,
        ["an eventfd"] = RawFds.BlockingEventFd,
        ["a file that is open for reading"] = () => RawFds.Open("/proc/self/exe", RawFds.ReadOnly),
        ["an empty file"] = () => RawFds.Open("/proc/self/oom_score_adj"),
    };

    [SkippableTheory]
    [MemberData(nameof(WrongRegions))]
    public Task A_region_that_cannot_be_is_refused(string how, RequestCode request) => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        using GuestRam ram = Ram();
        frontEnd.ExpectRefusal(request, Payload(request, WrongRegion[how](ram.Regions[0])), ram.FileOf(0));
    });

    [SkippableTheory]
    [MemberData(nameof(OverlappingRegions))]
    public Task A_region_that_overlaps_another_is_refused(string how, RequestCode request) => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        using GuestRam ram = Ram();
        MemoryRegionLayout second = Overlap[how](ram.Regions[0]);
        if (request == RequestCode.SetMemTable)
        {
            frontEnd.ExpectRefusal(request, FrontendClient.MemTable([ram.Regions[0], second]), ram.FileOf(0), ram.FileOf(0));
        }
        else
        {
            frontEnd.Client.AddMemReg(ram, 0);
            frontEnd.ExpectRefusal(request, FrontendClient.SingleRegion(second), ram.FileOf(0));
        }
    });

    [SkippableTheory]
    [MemberData(nameof(WrongFiles))]
    public Task A_descriptor_that_is_no_memory_is_refused(string what, RequestCode request) => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        using OwnedFd file = WrongFile[what]();
        frontEnd.ExpectRefusal(request, Payload(request, new MemoryRegionLayout(0, 4096, 1UL << 32, 0)), file);
    });

    [SkippableTheory]
    [InlineData(0u)]
    [InlineData(2u)]
    [InlineData(33u)]
    [InlineData(0x8000_0001u)]
    [InlineData(uint.MaxValue)]
    public Task A_table_that_names_another_number_of_regions_than_it_has_is_refused(uint count) => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        using GuestRam ram = Ram();
        byte[] payload = [.. BitConverter.GetBytes(count), .. FrontendClient.MemTable(ram.Regions)[4..]];
        frontEnd.ExpectRefusal(RequestCode.SetMemTable, payload, ram.FileOf(0));
        frontEnd.ExpectRefusal(RequestCode.SetMemTable, payload, [.. Enumerable.Repeat(ram.FileOf(0), RequestShape.MostFds)]);
    });

    [SkippableFact]
    public Task A_table_of_more_regions_than_fit_is_refused() => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        using GuestRam ram = Ram();
        foreach (int count in new[] { RequestShape.MostFds + 1, 100, 127 })
        {
            byte[] table = FrontendClient.MemTable([.. Enumerable.Range(0, count).Select(Page)]);
            frontEnd.ExpectRefusal(RequestCode.SetMemTable, table, [.. Enumerable.Repeat(ram.FileOf(0), RequestShape.MostFds)]);
        }
    });

    [SkippableFact]
    public Task A_hundred_refused_tables_leave_no_descriptor_and_no_mapping_behind() => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Start(Ram(), out GuestRam ram);
        using GuestRam owned = ram;
        int before = backend.Descriptors;
        byte[] good = FrontendClient.MemTable(ram.Regions);
        byte[] tooLong = FrontendClient.MemTable([ram.Regions[0], new MemoryRegionLayout(1UL << 40, RamSize + 1, 1UL << 41, 0)]);
        for (int i = 0; i < 50; i++)
        {
            Assert.NotEqual(0UL, driver.Client.TryTell(RequestCode.SetMemTable, tooLong, ram.FileOf(0), ram.FileOf(0)));
            Assert.NotEqual(0UL, driver.Client.TryTell(RequestCode.SetMemTable, good, ram.FileOf(0), ram.FileOf(0)));
        }

        Assert.Equal(before, backend.Descriptors);
        GoodGuest.ExchangeFrames(backend, driver);
    });

    [SkippableFact]
    public Task More_regions_than_there_are_slots_are_refused() => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        using GuestRam ram = Ram();
        Assert.Equal((ulong)Slots, frontEnd.Client.GetMaxMemSlots());
        for (int i = 0; i < Slots; i++)
        {
            Assert.Equal(
                0UL, frontEnd.Client.TryTell(RequestCode.AddMemReg, FrontendClient.SingleRegion(Page(i)), ram.FileOf(0)));
        }

        frontEnd.ExpectRefusal(RequestCode.AddMemReg, FrontendClient.SingleRegion(Page(Slots)), ram.FileOf(0));
    });

    [SkippableFact]
    public Task A_region_that_is_not_there_cannot_be_removed() => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Start(Ram(), out GuestRam ram);
        using GuestRam owned = ram;
        HostileFrontEnd frontEnd = new(backend, driver.Client);
        MemoryRegionLayout region = ram.Regions[0];
        foreach (MemoryRegionLayout other in new[]
        {
            region with { GuestAddress = region.GuestAddress + 4096 }, region with { Size = region.Size - 4096 },
            region with { UserAddress = region.UserAddress + 4096 }, default,
        })
        {
            frontEnd.ExpectRefusal(RequestCode.RemMemReg, FrontendClient.SingleRegion(other), ram.FileOf(0));
        }

        GoodGuest.ExchangeFrames(backend, driver);
    });

    [SkippableFact]
    public Task A_region_that_is_added_twice_counts_twice_and_is_mapped_once() => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Start(Ram(), out GuestRam ram);
        using GuestRam owned = ram;
        int before = backend.Descriptors;
        for (int i = 0; i < 100; i++)
        {
            driver.Client.AddMemReg(ram, 0);
        }

        for (int i = 0; i < 100; i++)
        {
            driver.Client.RemMemReg(ram, 0);
        }

        Assert.Equal(before, backend.Descriptors);
        GoodGuest.ExchangeFrames(backend, driver);
    });

    [SkippableFact]
    public Task Memory_that_is_removed_while_rings_run_stops_them_until_it_is_back() => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Start(Ram(), out GuestRam ram);
        using GuestRam owned = ram;
        for (int i = 0; i < 10; i++)
        {
            driver.Client.RemMemReg(ram, 0);
            driver.Pairs[0].RxKick.Signal();
            driver.Pairs[0].TxKick.Signal();
            driver.Client.AddMemReg(ram, 0);
            GoodGuest.ExchangeFrames(backend, driver);
        }
    });

    [SkippableFact]
    public Task Memory_that_is_exchanged_for_other_memory_under_the_rings_stops_them() => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Start(Ram(), out GuestRam ram);
        using GuestRam owned = ram;
        using GuestRam other = new(new GuestRamOptions { Pieces = [new RamPiece(1UL << 40, RamSize)] });
        driver.Client.SetMemTable(other);
        driver.Pairs[0].RxKick.Signal();
        driver.Pairs[0].TxKick.Signal();
        driver.Client.SetMemTable(ram);
        GoodGuest.ExchangeFrames(backend, driver);
    });

    [SkippableFact]
    public Task Memory_that_can_be_sealed_cannot_be_truncated_under_the_rings() => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Start(Ram(), out GuestRam ram);
        using GuestRam owned = ram;
        Assert.Equal(Errno.EPERM, ram.Shrink(0, 0).Error);
        GoodGuest.ExchangeFrames(backend, driver);
    });

    [SkippableFact]
    public Task Memory_truncated_under_the_rings_costs_the_rings_alone() => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Start(Ram(sealable: false), out GuestRam ram);
        using GuestRam owned = ram;
        GoodGuest.ExchangeFrames(backend, driver);
        Assert.True(ram.Shrink(0, 0).Ok);
        driver.Pairs[0].RxKick.Signal();
        driver.Pairs[0].TxKick.Signal();
        backend.Host.Send(TestFrame.Build(HostileBackend.NextFrame(), GoodGuest.FrameSize));
        Assert.True(
            SpinWait.SpinUntil(
                () => driver.Pairs[0].RxError.Drain() + driver.Pairs[0].TxError.Drain() > 0, HostileBackend.Patience),
            "no ring was given up");
        new HostileFrontEnd(backend, driver.Client).ExpectAlive();
    });

    [SkippableFact]
    public Task Memory_truncated_in_full_traffic_costs_the_rings_alone() => backend.SurvivesAsync(() =>
    {
        for (int i = 0; i < 5; i++)
        {
            using VirtioNetDriver driver = Start(Ram(sealable: false), out GuestRam ram);
            using GuestRam owned = ram;
            NetQueuePair pair = driver.Pairs[0];
            byte[] frame = TestFrame.Build(HostileBackend.NextFrame(), GoodGuest.FrameSize);
            while (pair.TrySend(frame))
            {
                // Until the ring is full; the device learns of all of it at once.
            }

            pair.FlushTx();
            backend.Host.Send(frame);
            Assert.True(ram.Shrink(0, 4096UL * (ulong)i).Ok);
            pair.RxKick.Signal();
            pair.TxKick.Signal();
            new HostileFrontEnd(backend, driver.Client).ExpectAlive();
        }
    });

    /// <summary>The rings stay whole, the buffers go: the kernel, not the process, meets the missing pages.</summary>
    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task Buffers_truncated_under_the_rings_cost_no_more_than_the_ring(RingSide side) => backend.SurvivesAsync(() =>
    {
        using GuestRam ram = new(new GuestRamOptions
        {
            Pieces = [new RamPiece(0, RamSize), new RamPiece(RamSize, 1UL << 20)],
            Sealable = false,
        });
        using VirtioNetDriver driver = backend.Connect(Options with { ReceiveBuffers = 0 }, ram);
        Assert.True(ram.Shrink(1, 0).Ok);
        NetQueuePair pair = driver.Pairs[0];
        DriverRing ring = side == RingSide.Rx ? pair.Rx : pair.Tx;
        EventFd error = side == RingSide.Rx ? pair.RxError : pair.TxError;
        Assert.True(ring.TryAdd([new RingBuffer(RamSize, 200, side == RingSide.Rx)], -1));
        ring.Publish();
        (side == RingSide.Rx ? pair.RxKick : pair.TxKick).Signal();
        backend.Host.Send(TestFrame.Build(HostileBackend.NextFrame(), GoodGuest.FrameSize));
        Assert.True(
            SpinWait.SpinUntil(() => ring.TryCollect(out _) || error.Drain() > 0, HostileBackend.Patience),
            "the chain did not come back, and the ring was not given up");
        new HostileFrontEnd(backend, driver.Client).ExpectAlive();
        GoodGuest.Send(backend, pair);
    });

    private static VirtioNetOptions Options => new() { QueueSize = 64, TransmitBufferSize = 2048 };

    private static TheoryData<string, RequestCode> Both(IEnumerable<string> names)
    {
        TheoryData<string, RequestCode> data = [];
        foreach (string name in names)
        {
            data.Add(name, RequestCode.SetMemTable);
            data.Add(name, RequestCode.AddMemReg);
        }

        return data;
    }

    private static byte[] Payload(RequestCode request, MemoryRegionLayout region) =>
        request == RequestCode.SetMemTable ? FrontendClient.MemTable([region]) : FrontendClient.SingleRegion(region);

    private static GuestRam Ram(bool sealable = true) =>
        new(new GuestRamOptions { Pieces = [new RamPiece(0, RamSize)], Sealable = sealable });

    /// <summary>One page of the file, over and over, each in another place.</summary>
    private static MemoryRegionLayout Page(int number) =>
        new((ulong)number << 13, 4096, (1UL << 40) + ((ulong)number << 13), 0);

    private VirtioNetDriver Start(GuestRam made, out GuestRam ram)
    {
        ram = made;
        return backend.Connect(Options, made);
    }
}
