using System.Diagnostics;
using Ringmaster.Actors.Backend;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Settings;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Backend;

public sealed class RingmasterBackendSpec : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("ringmaster-").FullName;
    private readonly ReadinessLoop _loop = new("test");
    private readonly FakeWorkers _workers = new();
    private readonly FakeHost _host = new();

    [Fact]
    public async Task One_call_starts_a_whole_back_end_that_serves()
    {
        await using RingmasterBackend backend = await StartAsync("net0", "net1");
        using FrontEnd frontEnd = FrontEnd.Connect(Socket("net1"), _loop);
        await frontEnd.BringUpAsync();

        Assert.Equal(["net0", "net1"], (await backend.GetDevicesAsync()).Select(device => device.Name));
        Assert.Equal(DevicePhase.Serving, (await backend.GetDeviceStatusAsync("net1")).Phase);
        Assert.Equal(["net1/pair-0", "net1/pair-1"], (await backend.GetWorkersAsync("net1")).Select(worker => worker.Name));
        await Assert.ThrowsAsync<ArgumentException>(() => backend.GetWorkersAsync("net9"));
    }

    [Fact]
    public async Task A_device_that_cannot_be_opened_is_an_error_that_names_it_and_nothing_stays_up()
    {
        using var taken = UnixListener.Bind(Socket("net1"));
        BackendStartException error = await Assert.ThrowsAsync<BackendStartException>(() => StartAsync("net0", "net1"));
        DeviceOutcome failed = Assert.Single(error.Failed);
        Assert.Equal("net1", failed.Name);
        Assert.Contains("EADDRINUSE", error.Message, StringComparison.Ordinal);
        await ClosedAsync("net0");
    }

    [Fact]
    public async Task It_stops_within_5_s_even_when_a_worker_hangs()
    {
        RingmasterBackend backend = await StartAsync("net0");
        foreach (FakeWorker worker in _workers.All)
        {
            worker.Hangs = true;
        }

        var watch = Stopwatch.StartNew();
        await backend.StopAsync();
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(5));
        await ClosedAsync("net0");
        Assert.Equal(1, _host.Disposed);
        Assert.Same(backend.StopAsync(), backend.StopAsync());
    }

    [Fact]
    public async Task An_injected_fault_is_followed_by_a_new_worker()
    {
        await using RingmasterBackend backend = await StartAsync("net0");
        Assert.True(await backend.InjectWorkerFaultAsync("net0", 1, "for the test"));
        Assert.False(await backend.InjectWorkerFaultAsync("net0", 5, "no such pair"));

        using var limit = new CancellationTokenSource(TestConfiguration.Patience);
        WorkerHandle worker;
        do
        {
            limit.Token.ThrowIfCancellationRequested();
            worker = (await backend.GetWorkersAsync("net0"))[1];
        }
        while (worker.Generation != 2);
        Assert.Equal(WorkerState.Running, worker.State);
    }

    [Fact]
    public async Task A_reload_adds_and_removes_devices()
    {
        await using RingmasterBackend backend = await StartAsync("net0");
        Reloaded reloaded = await backend.ReloadAsync(Settings("net1"));
        Assert.Equal(("net1", "net0"), (reloaded.Added.Single(), reloaded.Removed.Single()));
        Assert.Equal("net1", Assert.Single(await backend.GetDevicesAsync()).Name);
    }

    [Fact]
    public async Task Whoever_waits_for_a_reload_can_stop_waiting()
    {
        await using RingmasterBackend backend = await StartAsync("net0");
        using var stop = new CancellationTokenSource();
        _host.Gate.Reset();
        Task<Reloaded> reload = backend.ReloadAsync(Settings("net0", "net1"), stop.Token);
        Assert.Equal(["net0", "net1"], (await backend.GetDevicesAsync()).Select(device => device.Name));

        stop.Cancel();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reload);
        _host.Gate.Set();
        await AllUpAsync(backend);
    }

    [Fact]
    public async Task An_inherited_listening_socket_serves_one_front_end_after_the_other()
    {
        using var listener = UnixListener.Bind(Socket("inherited"));
        await using RingmasterBackend backend = await StartInheritedAsync(listener.Fd.Duplicate());
        for (int i = 0; i < 2; i++)
        {
            using FrontEnd frontEnd = FrontEnd.Connect(Socket("inherited"), _loop);
            await frontEnd.BringUpAsync();
        }
    }

    [Fact]
    public async Task An_inherited_connection_is_served_and_then_nobody_can_come_any_more()
    {
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        await using RingmasterBackend backend = await StartInheritedAsync(theirs);
        using (FrontEnd frontEnd = FrontEnd.Over(ours, _loop))
        {
            await frontEnd.BringUpAsync();
        }

        using var limit = new CancellationTokenSource(TestConfiguration.Patience);
        while ((await backend.GetDeviceStatusAsync("net0")).Phase != DevicePhase.Finished)
        {
            limit.Token.ThrowIfCancellationRequested();
        }

        Assert.False(Assert.Single(await backend.GetDevicesAsync()).Up);
    }

    [Fact]
    public async Task A_front_end_over_an_inherited_connection_sees_that_it_was_cut_off()
    {
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        await using RingmasterBackend backend = await StartInheritedAsync(theirs);
        using FrontEnd frontEnd = FrontEnd.Over(ours, _loop);
        frontEnd.Send(RequestCode.GetFeatures, new byte[5000]);

        await frontEnd.ClosedAsync();
    }

    [Theory]
    [InlineData(1_000_000)]
    [InlineData(null)]
    public async Task An_inherited_fd_that_is_no_socket_is_an_error_that_names_device_and_fd(int? number)
    {
        using OwnedFd file = FrontEnd.TempFile(1);
        int fd = number ?? NumberOf(file);
        BackendSettings settings = Settings("net0");
        BackendStartException error = await Assert.ThrowsAsync<BackendStartException>(
            () => StartAsync(settings with { Devices = [settings.Devices[0] with { SocketFd = fd }] }));
        Assert.Equal($"device net0: fd {fd} is not an open socket", error.Message);
        Assert.False(file.IsClosed);
    }

    public void Dispose()
    {
        _loop.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    /// <summary>"fd 7" is how an OwnedFd shows itself; whoever starts a process with --fd=7 knows the number.</summary>
    private static int NumberOf(OwnedFd fd) => int.Parse(fd.ToString().AsSpan("fd ".Length), provider: null);

    private static async Task AllUpAsync(RingmasterBackend backend)
    {
        using var limit = new CancellationTokenSource(TestConfiguration.Patience);
        while ((await backend.GetDevicesAsync()).Any(device => !device.Up))
        {
            limit.Token.ThrowIfCancellationRequested();
        }
    }

    /// <summary>The back-end does not wait for ever for what a device has still to close.</summary>
    private Task ClosedAsync(params string[] names) => Leaks.UntilAsync(
        () => _host.Opened == _host.Disposed && !names.Any(name => File.Exists(Socket(name))),
        () => $"opened {_host.Opened} times, closed {_host.Disposed} times");

    private Task<RingmasterBackend> StartAsync(params string[] names) => StartAsync(Settings(names));

    private Task<RingmasterBackend> StartAsync(BackendSettings settings) =>
        RingmasterBackend.StartAsync(settings, _workers.Start, device => new FakeKind(device, _host));

    private Task<RingmasterBackend> StartInheritedAsync(OwnedFd socket)
    {
        int number = NumberOf(socket);
        socket.SetHandleAsInvalid();
        BackendSettings settings = Settings("net0");
        return StartAsync(settings with { Devices = [settings.Devices[0] with { SocketFd = number }] });
    }

    private BackendSettings Settings(params string[] names) => new()
    {
        Devices = [.. names.Select(name => TestDevices.Create(name, Socket(name)))],
        Log = new LogSettings(LogThreshold.Off, LogFormat.Text),
    };

    private string Socket(string name) => Path.Combine(_directory, name);
}
