using System.Buffers.Binary;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>A front-end describes rings that cannot be. What is refused does not stay in force.</summary>
[Collection(HostileCollection.Name)]
public sealed class RingRequestSpec(HostileBackend backend)
{
    private const int RingSize = 64;
    private const int Rings = 4;
    private static readonly TimeSpan Silence = TimeSpan.FromMilliseconds(100);

    /// <summary>All messages that name a ring.</summary>
    public static TheoryData<RequestCode> AboutOneRing =>
    [
        RequestCode.SetVringNum, RequestCode.SetVringAddr, RequestCode.SetVringBase, RequestCode.GetVringBase,
        RequestCode.SetVringKick, RequestCode.SetVringCall, RequestCode.SetVringErr, RequestCode.SetVringEnable,
        RequestCode.VringKick,
    ];

    /// <summary>Sizes that no split ring of this device can have; its largest is 1,024.</summary>
    public static TheoryData<uint> WrongSizes => [0, 3, 65, 1000, 2048, 65_536, 0x8000_0000, uint.MaxValue];

    /// <summary>Where a ring must not lie.</summary>
    public static TheoryData<string> WrongPlaces => [.. Misplacements.Keys];

    private static Dictionary<string, Func<RingAddresses, RingAddresses>> Misplacements => new()
    {
        ["descriptors not aligned to 16"] = ring => ring with { Descriptors = ring.Descriptors + 8 },
        ["available ring not aligned to 2"] = ring => ring with { Driver = ring.Driver + 1 },
        ["used ring not aligned to 4"] = ring => ring with { Device = ring.Device + 2 },
        ["used ring on the descriptors"] = ring => ring with { Device = ring.Descriptors },
        ["available ring on the last descriptor"] = ring => ring with { Driver = ring.Descriptors + (16 * RingSize) - 2 },
        ["used ring on the end of the available ring"] = ring => ring with { Device = ring.Driver + 4 + (2 * RingSize) - 4 },
        ["all three in one place"] = ring => ring with { Driver = ring.Descriptors, Device = ring.Descriptors },
        ["descriptors that wrap around"] = ring => ring with { Descriptors = ulong.MaxValue - 15 },
        ["available ring that wraps around"] = ring => ring with { Driver = ulong.MaxValue - 1 },
        ["used ring that wraps around"] = ring => ring with { Device = ulong.MaxValue - 3 },
    };

    /// <summary>Addresses that may be right later, when there is more memory.</summary>
    public static TheoryData<string> PlacesOutsideMemory => [.. Outside.Keys];

    private static Dictionary<string, Func<RingAddresses, ulong, RingAddresses>> Outside => new()
    {
        ["descriptors at 0"] = (ring, _) => ring with { Descriptors = 0 },
        ["descriptors cut by the end of memory"] = (ring, end) => ring with { Descriptors = end - (16 * RingSize) + 16 },
        ["available ring cut by the end of memory"] = (ring, end) => ring with { Driver = end - (2 * RingSize) },
        ["used ring cut by the end of memory"] = (ring, end) => ring with { Device = end - (8 * RingSize) },
        ["used ring behind the end of memory"] = (ring, end) => ring with { Device = end },
        ["used ring far away"] = (ring, _) => ring with { Device = 1UL << 60 },
    };

    [SkippableTheory]
    [MemberData(nameof(AboutOneRing))]
    public Task A_ring_that_there_is_not_is_refused(RequestCode request) => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        using EventFd fd = new();
        bool fdRequest = request is RequestCode.SetVringKick or RequestCode.SetVringCall or RequestCode.SetVringErr;
        uint[] indexes = fdRequest ? [Rings, 127, 255] : [Rings, 127, 255, 256, 65_536, int.MaxValue, uint.MaxValue];
        foreach (uint index in indexes)
        {
            byte[] payload = new byte[RequestShape.All[request].MinSize];
            BinaryPrimitives.WriteUInt32LittleEndian(payload, index);
            frontEnd.ExpectRefusal(request, payload, fdRequest ? [fd.Fd] : []);
        }
    });

    [SkippableTheory]
    [MemberData(nameof(WrongSizes))]
    public Task A_refused_size_does_not_stay_in_force(uint size) => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Prepare();
        HostileFrontEnd frontEnd = new(backend, driver.Client);
        Start(driver, afterSize: ring => frontEnd.ExpectRefusal(RequestCode.SetVringNum, FrontendClient.VringState(ring, size)));
        GoodGuest.ExchangeFrames(backend, driver);
        for (int ring = 0; ring < Rings / 2; ring++)
        {
            frontEnd.ExpectRefusal(RequestCode.SetVringNum, FrontendClient.VringState(ring, size));
        }

        GoodGuest.ExchangeFrames(backend, driver);
    });

    [SkippableFact]
    public Task A_ring_that_runs_does_not_change_its_size() => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Prepare();
        driver.StartRings();
        HostileFrontEnd frontEnd = new(backend, driver.Client);
        frontEnd.ExpectRefusal(RequestCode.SetVringNum, FrontendClient.VringState(0, 2 * RingSize));
        frontEnd.ExpectRefusal(RequestCode.SetVringNum, FrontendClient.VringState(1, RingSize / 2));
        GoodGuest.ExchangeFrames(backend, driver);
    });

    [SkippableTheory]
    [MemberData(nameof(WrongPlaces))]
    public Task Refused_addresses_do_not_stay_in_force(string where) => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Prepare();
        HostileFrontEnd frontEnd = new(backend, driver.Client);
        Start(driver, afterAddresses: Refuse);
        GoodGuest.ExchangeFrames(backend, driver);
        Refuse(0);
        Refuse(1);
        GoodGuest.ExchangeFrames(backend, driver);

        void Refuse(int ring) => frontEnd.ExpectRefusal(
            RequestCode.SetVringAddr,
            FrontendClient.VringAddresses(ring, Misplacements[where](driver.UserAddresses(RingOf(driver, ring))), null));
    });

    [SkippableTheory]
    [MemberData(nameof(PlacesOutsideMemory))]
    public Task A_ring_outside_memory_does_not_run_until_it_gets_better_addresses(string where) => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Prepare();
        MemoryRegionEnd(driver, out ulong end);
        Start(
            driver,
            afterAddresses: ring =>
                driver.Client.SetVringAddr(ring, Outside[where](driver.UserAddresses(RingOf(driver, ring)), end)));
        NetQueuePair pair = driver.Pairs[0];
        Assert.True(pair.TrySend(new byte[60]));
        pair.FlushTx();
        pair.TxKick.Signal();
        pair.RxKick.Signal();
        Assert.False(pair.WaitTx(Silence), "a chain came back from a ring that is outside memory");

        driver.Client.SetVringAddr(0, driver.UserAddresses(pair.Rx));
        driver.Client.SetVringAddr(1, driver.UserAddresses(pair.Tx));
        GoodGuest.ExchangeFrames(backend, driver);
    });

    [SkippableFact]
    public Task Rings_that_are_started_without_memory_run_when_it_comes() => backend.SurvivesAsync(() =>
    {
        using GuestRam ram = new(GuestRamOptions.OfSize(16));
        using VirtioNetDriver driver = backend.Prepare(Options, ram);
        HostileFrontEnd frontEnd = new(backend, driver.Client);
        frontEnd.Client.RemMemReg(ram, 0);
        driver.StartRings();
        Assert.True(driver.Pairs[0].TrySend(new byte[60]));
        driver.Pairs[0].TxKick.Signal();
        Assert.False(driver.Pairs[0].WaitTx(Silence), "a chain came back from a ring without memory");

        driver.Client.AddMemReg(ram, 0);
        GoodGuest.ExchangeFrames(backend, driver);
    });

    [SkippableFact]
    public Task Rings_of_which_only_the_start_was_said_do_nothing() => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        using EventFd fd = new();
        for (int ring = 0; ring < Rings; ring++)
        {
            frontEnd.Client.SetVringKick(ring, fd.Fd);
            frontEnd.Client.SetVringEnable(ring, on: true);
        }

        fd.Signal();
        for (int ring = 0; ring < Rings; ring++)
        {
            // Packed rings were negotiated: position 0, first lap, twice.
            Assert.Equal(0x8000_8000u, frontEnd.Client.GetVringBase(ring));
        }
    });

    [SkippableFact]
    public Task A_position_that_no_split_ring_can_have_is_refused() => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Prepare();
        HostileFrontEnd frontEnd = new(backend, driver.Client);
        frontEnd.ExpectRefusal(RequestCode.SetVringBase, FrontendClient.VringState(0, 65_536));
        frontEnd.ExpectRefusal(RequestCode.SetVringBase, FrontendClient.VringState(1, uint.MaxValue));
        driver.StartRings();
        GoodGuest.ExchangeFrames(backend, driver);
    });

    [SkippableFact]
    public Task A_ring_is_neither_switched_on_nor_off_by_another_number_than_0_and_1() => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Prepare();
        driver.StartRings();
        HostileFrontEnd frontEnd = new(backend, driver.Client);
        frontEnd.ExpectRefusal(RequestCode.SetVringEnable, FrontendClient.VringState(0, 2));
        frontEnd.ExpectRefusal(RequestCode.SetVringEnable, FrontendClient.VringState(1, uint.MaxValue));
        GoodGuest.ExchangeFrames(backend, driver);
    });

    /// <summary>Both sets of features, bit by bit.</summary>
    [SkippableFact]
    public Task Features_that_were_not_offered_are_refused() => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        ulong features = (ulong)frontEnd.Client.GetFeatures();
        ulong protocolFeatures = (ulong)frontEnd.Client.GetProtocolFeatures();
        for (int bit = 0; bit < 64; bit++)
        {
            RefuseUnlessOffered(frontEnd, RequestCode.SetFeatures, features, 1UL << bit);
            RefuseUnlessOffered(frontEnd, RequestCode.SetProtocolFeatures, protocolFeatures, 1UL << bit);
        }
    });

    private static VirtioNetOptions Options => new() { QueueSize = RingSize, TransmitBufferSize = 2048 };

    private static void RefuseUnlessOffered(HostileFrontEnd frontEnd, RequestCode request, ulong offered, ulong bit)
    {
        if ((offered & bit) == 0)
        {
            frontEnd.ExpectRefusal(request, FrontendClient.Number(offered | bit));
        }
    }

    private VirtioNetDriver Prepare() => backend.Prepare(Options);

    private static DriverRing RingOf(VirtioNetDriver driver, int ring) => ring == 0 ? driver.Pairs[0].Rx : driver.Pairs[0].Tx;

    private static void MemoryRegionEnd(VirtioNetDriver driver, out ulong end) =>
        end = driver.Ram.Regions[^1].UserAddress + driver.Ram.Regions[^1].Size;

    /// <summary>Starts the first pair's rings message by message, with something else in between.</summary>
    private static void Start(VirtioNetDriver driver, Action<int>? afterSize = null, Action<int>? afterAddresses = null)
    {
        NetQueuePair pair = driver.Pairs[0];
        pair.PostAll();
        foreach (int ring in new[] { 0, 1 })
        {
            driver.Client.SetVringNum(ring, RingSize);
            afterSize?.Invoke(ring);
            driver.Client.SetVringBase(ring, 0);
            driver.Client.SetVringAddr(ring, driver.UserAddresses(RingOf(driver, ring)));
            afterAddresses?.Invoke(ring);
            driver.Client.SetVringCall(ring, ring == 0 ? pair.RxCall.Fd : pair.TxCall.Fd);
            driver.Client.SetVringKick(ring, ring == 0 ? pair.RxKick.Fd : pair.TxKick.Fd);
            driver.Client.SetVringEnable(ring, on: true);
        }
    }
}
