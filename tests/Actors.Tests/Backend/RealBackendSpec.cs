using System.Net.NetworkInformation;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Settings;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Backend;

/// <summary>The whole back-end on a real TAP with real workers; the guest's rings are empty.</summary>
[Collection(Leaks.Alone)]
public sealed class RealBackendSpec : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("ringmaster-").FullName;
    private readonly ReadinessLoop _loop = new("test");
    private PrivateNetwork? _network;

    private string Socket => Path.Combine(_directory, "sock");

    [SkippableFact]
    public async Task A_worker_that_fails_is_back_with_its_rings_and_the_other_has_noticed_nothing()
    {
        await using RingmasterBackend backend = await StartAsync();
        using FrontEnd frontEnd = FrontEnd.Connect(Socket, _loop);
        await frontEnd.BringUpAsync();
        await backend.InjectWorkerFaultAsync("net0", 1, "for the test");

        DeviceSnapshot status = await UntilAsync(backend, each => each.Pairs[1] is { Generation: 2, Rx: RingActivity.Running });
        Assert.Equal((1L, 0), (status.Pairs[0].Generation, status.Pairs[0].Failures));
        Assert.Equal(0u, await frontEnd.StopRingAsync(3));
        Assert.All(await backend.GetWorkersAsync("net0"), worker => Assert.Equal(WorkerState.Running, worker.State));
    }

    [SkippableFact]
    public async Task What_the_guest_acknowledges_and_enables_is_set_on_the_TAP()
    {
        await using RingmasterBackend backend = await StartAsync();
        using FrontEnd frontEnd = FrontEnd.Connect(Socket, _loop);
        await frontEnd.BringUpAsync();
        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.NetSetMtu, FrontEnd.U64(2000)));
        Assert.Equal(2000, ReadMtu());
        Assert.NotEqual(0UL, await frontEnd.DoAsync(RequestCode.NetSetMtu, FrontEnd.U64(65535)));
        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.SetVringEnable, new VringState(0, 0).ToBytes()));
        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.SetVringEnable, new VringState(2, 0).ToBytes()));
        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.SetFeatures, FrontEnd.U64((ulong)VirtioFeatures.ProtocolFeatures)));
        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.SetVringEnable, new VringState(2, 1).ToBytes()));

        frontEnd.Dispose();
        await UntilAsync(backend, each => each.Phase == DevicePhase.Listening);
        Assert.Equal(1500, ReadMtu());
    }

    [SkippableFact]
    public async Task An_fd_can_be_watched_on_a_workers_loop()
    {
        await using RingmasterBackend backend = await StartAsync();
        using var fd = new EventFd();
        var called = new TaskCompletionSource<string?>();
        WorkerHandle worker = (await backend.GetWorkersAsync("net0"))[1];
        Assert.True(worker.Watch(fd.Fd, () =>
        {
            fd.Drain();
            called.TrySetResult(Thread.CurrentThread.Name);
        }));
        fd.Signal();
        Assert.Equal("net0/pair-1", await called.Task.WaitAsync(TestConfiguration.Patience));
        Assert.True(worker.Unwatch(fd.Fd));
    }

    [SkippableFact]
    public async Task Two_hundred_front_ends_leave_no_fd_no_thread_and_no_mapping_behind()
    {
        await using RingmasterBackend backend = await StartAsync();
        await CycleAsync(backend, 10);
        (int Fds, int Threads, int Mappings) before = Count();
        await CycleAsync(backend, 200);
        await Leaks.UntilAsync(
            () => Count() is var now && now.Fds <= before.Fds && now.Threads <= before.Threads && now.Mappings <= before.Mappings,
            () => $"before {before}, now {Count()}: {Leaks.DescribeFds()}");
    }

    [SkippableFact]
    public async Task Nothing_is_left_when_a_back_end_has_stopped()
    {
        await (await StartAsync()).StopAsync();
        int before = Leaks.OpenFds();
        for (int i = 0; i < 5; i++)
        {
            RingmasterBackend backend = await StartAsync();
            await CycleAsync(backend, 1);
            await backend.StopAsync();
        }

        await Leaks.UntilAsync(
            () => Leaks.Threads("net0/") == 0 && Leaks.OpenFds() <= before,
            () => $"{Leaks.OpenFds()} fds, {before} before: {Leaks.DescribeFds()}");
    }

    public void Dispose()
    {
        _loop.Dispose();
        _network?.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private static (int Fds, int Threads, int Mappings) Count() =>
        (Leaks.OpenFds(), Leaks.Threads("net0/"), Leaks.DeletedMappings());

    private static async Task<DeviceSnapshot> UntilAsync(RingmasterBackend backend, Predicate<DeviceSnapshot> reached)
    {
        using var limit = new CancellationTokenSource(TestConfiguration.Patience);
        while (true)
        {
            DeviceSnapshot status = await backend.GetDeviceStatusAsync("net0");
            if (reached(status))
            {
                return status;
            }

            Assert.False(limit.IsCancellationRequested, $"the device stays as {status}");
        }
    }

    private Task<RingmasterBackend> StartAsync()
    {
        _network ??= TestNetwork.Create();
        DeviceSettings device = TestDevices.Create("net0", Socket);
        return RingmasterBackend.StartAsync(new BackendSettings
        {
            Devices = [device with { Tap = device.Tap with { Name = "tap0", Netns = _network.Path } }],
            Log = new LogSettings(LogThreshold.Off, LogFormat.Text),
        });
    }

    private async Task CycleAsync(RingmasterBackend backend, int times)
    {
        for (int i = 0; i < times; i++)
        {
            using (FrontEnd frontEnd = FrontEnd.Connect(Socket, _loop))
            {
                await frontEnd.BringUpAsync();
            }

            await UntilAsync(backend, each => each.Phase == DevicePhase.Listening);
        }
    }

    private int ReadMtu() => NetworkNamespace.Run(
        _network!.Path,
        () => NetworkInterface.GetAllNetworkInterfaces()
            .Single(found => found.Name == "tap0")
            .GetIPProperties()
            .GetIPv4Properties()
            .Mtu);
}
