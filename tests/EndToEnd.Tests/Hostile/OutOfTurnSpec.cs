using System.Buffers.Binary;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>Requests that look right and come when they make no sense, or ask for what makes none.</summary>
[Collection(HostileCollection.Name)]
public sealed class OutOfTurnSpec(HostileBackend backend)
{
    private const uint Save = 0;
    private const uint Load = 1;
    private const int RamSize = 1 << 20;

    /// <summary>What SET_BACKEND_REQ_FD must not bring.</summary>
    public static TheoryData<string> NoSockets => [.. Others.Keys];

    private static Dictionary<string, Func<OwnedFd>> Others => new()
    {
        ["an eventfd"] = RawFds.BlockingEventFd,
        ["an epoll set"] = RawFds.Epoll,
        ["a device"] = () => RawFds.Open("/dev/null"),
        ["a directory"] = () => RawFds.Open("/tmp", RawFds.ReadOnly),
    };

    /// <summary>Regions in flight that cannot be: bytes, offset, queues, queue size.</summary>
    public static TheoryData<ulong, ulong, int, int> WrongInflight => new()
    {
        { RamSize, 0, 0, 64 },
        { RamSize, 0, 5, 64 },
        { RamSize, 0, ushort.MaxValue, 64 },
        { RamSize, 0, 4, 0 },
        { RamSize, 0, 4, 2048 },
        { RamSize, 0, 4, ushort.MaxValue },
    };

    [SkippableFact]
    public Task Pages_cannot_be_awaited_before_that_was_announced_nor_announced_twice() => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        Skip.IfNot(frontEnd.Client.ProtocolFeatures.HasFlag(ProtocolFeatures.Pagefault), "the kernel gives no userfaultfd");
        frontEnd.ExpectRefusal(RequestCode.PostcopyListen, []);
        frontEnd.Client.PostcopyEnd();
        frontEnd.ExpectRefusal(RequestCode.PostcopyListen, []);

        using OwnedFd? faults = frontEnd.Client.PostcopyAdvise();
        Assert.NotNull(faults);
        frontEnd.ExpectRefusal(RequestCode.PostcopyAdvise, []);
        frontEnd.Client.PostcopyListen();
        frontEnd.ExpectRefusal(RequestCode.PostcopyAdvise, []);
        frontEnd.ExpectRefusal(RequestCode.SetMemTable, new byte[7]);
    });

    [SkippableFact]
    public Task A_state_is_neither_moved_while_a_ring_is_started_nor_checked_before_it_is_moved() => backend.SurvivesAsync(() =>
    {
        VirtioNetOptions options = new() { QueueSize = 64, TransmitBufferSize = 2048 };
        using VirtioNetDriver driver = VirtioNetDriver.Start(
            backend.ConnectClient(),
            options with { ProtocolFeatures = options.ProtocolFeatures | ProtocolFeatures.DeviceState });
        HostileFrontEnd frontEnd = new(backend, driver.Client);
        (OwnedFd reader, OwnedFd writer) = RawFds.Pipe();
        using (reader)
        using (writer)
        {
            frontEnd.ExpectRefusal(RequestCode.CheckDeviceState, []);
            frontEnd.ExpectRefusal(RequestCode.SetDeviceStateFd, StateChannel(Save, 0), writer);
            frontEnd.ExpectRefusal(RequestCode.SetDeviceStateFd, StateChannel(Load, 0), reader);
            driver.StopRings();
            frontEnd.ExpectRefusal(RequestCode.SetDeviceStateFd, StateChannel(2, 0), writer);
            frontEnd.ExpectRefusal(RequestCode.SetDeviceStateFd, StateChannel(Save, 1), writer);
            frontEnd.ExpectRefusal(RequestCode.SetDeviceStateFd, StateChannel(Save, 0), reader);
            frontEnd.ExpectRefusal(RequestCode.SetDeviceStateFd, StateChannel(Load, 0), writer);
            frontEnd.ExpectRefusal(RequestCode.SetDeviceStateFd, StateChannel(Load, 0), driver.Ram.FileOf(0));
            frontEnd.ExpectRefusal(RequestCode.CheckDeviceState, []);
        }
    });

    [SkippableFact]
    public Task A_translation_without_memory_or_into_none_is_refused() => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend, behindIommu: true);
        using GuestRam ram = new(GuestRamOptions.OfSize(1));
        ulong user = ram.ToUser(0);
        frontEnd.ExpectRefusal(RequestCode.IotlbMsg, Iotlb(0, 4096, user, 3, IotlbType.Update));
        frontEnd.Client.SetMemTable(ram);
        Assert.All(
            new[]
            {
                Iotlb(0, 4096, user + RamSize, 3, IotlbType.Update),
                Iotlb(0, 4096, user + RamSize - 4095, 3, IotlbType.Update),
                Iotlb(0, 0, user, 3, IotlbType.Update),
                Iotlb(0, 4096, user, 0, IotlbType.Update),
                Iotlb(0, 4096, user, 4, IotlbType.Update),
                Iotlb(ulong.MaxValue, 2, user, 3, IotlbType.Update),
                Iotlb(0, 4096, user, 3, IotlbType.Miss),
                Iotlb(0, 4096, user, 3, 0),
                Iotlb(1, 0, 0, 0, IotlbType.Invalidate),
                Iotlb(ulong.MaxValue, 2, 0, 0, IotlbType.Invalidate),
            },
            payload => frontEnd.ExpectRefusal(RequestCode.IotlbMsg, payload));
        frontEnd.Client.Tell(RequestCode.IotlbMsg, Iotlb(0, 4096, user, 3, IotlbType.Update));
        frontEnd.ExpectRefusal(RequestCode.IotlbMsg, Iotlb(0, 4096, user + 4096, 3, IotlbType.Update));
    });

    [SkippableTheory]
    [MemberData(nameof(WrongInflight))]
    public Task A_region_in_flight_for_rings_that_there_are_not_is_refused(ulong bytes, ulong offset, int queues, int size) =>
        backend.SurvivesAsync(() =>
        {
            using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
            using GuestRam file = new(GuestRamOptions.OfSize(1));
            frontEnd.ExpectRefusal(RequestCode.GetInflightFd, Inflight(0, 0, queues, size));
            frontEnd.ExpectRefusal(RequestCode.SetInflightFd, Inflight(bytes, offset, queues, size), file.FileOf(0));
        });

    [SkippableTheory]
    [InlineData(RamSize + 1, 0)]
    [InlineData(RamSize, 64)]
    [InlineData(64, 0)]
    [InlineData(0, 0)]
    [InlineData(RamSize / 2, 8)]
    [InlineData(ulong.MaxValue, 0)]
    [InlineData(RamSize, ulong.MaxValue - 63)]
    public Task A_region_in_flight_that_its_file_does_not_hold_or_that_is_too_small_is_refused(ulong bytes, ulong offset) =>
        backend.SurvivesAsync(() =>
        {
            using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
            using GuestRam file = new(GuestRamOptions.OfSize(1));
            frontEnd.ExpectRefusal(RequestCode.SetInflightFd, Inflight(bytes, offset, 4, 64), file.FileOf(0));
        });

    [SkippableTheory]
    [MemberData(nameof(NoSockets))]
    public Task A_channel_that_is_no_connected_socket_is_refused(string what) => backend.SurvivesAsync(() =>
    {
        using HostileFrontEnd frontEnd = HostileFrontEnd.Connect(backend);
        using OwnedFd other = Others[what]();
        frontEnd.ExpectRefusal(RequestCode.SetBackendReqFd, [], other);
    });

    private static byte[] StateChannel(uint direction, uint phase) => FrontendClient.VringState((int)direction, phase);

    private static byte[] Iotlb(ulong iova, ulong size, ulong user, byte access, IotlbType type)
    {
        byte[] flags = [access, (byte)type, .. new byte[6]];
        return [.. FrontendClient.Number(iova), .. FrontendClient.Number(size), .. FrontendClient.Number(user), .. flags];
    }

    private static byte[] Inflight(ulong bytes, ulong offset, int queues, int size)
    {
        byte[] payload = [.. FrontendClient.Number(bytes), .. FrontendClient.Number(offset), .. new byte[8]];
        BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(16), (ushort)queues);
        BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(18), (ushort)size);
        return payload;
    }
}
