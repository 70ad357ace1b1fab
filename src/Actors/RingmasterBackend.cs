using System.Collections.Immutable;
using Akka.Actor;
using Akka.Configuration;
using Ringmaster.Actors.Backend;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.QueuePair;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Linux;

namespace Ringmaster.Actors;

/// <summary>
/// A whole back-end in this process: all devices of the given settings, under an actor system of its own. Every member may
/// be used from any thread.
/// </summary>
public sealed class RingmasterBackend : IAsyncDisposable
{
    /// <summary>How long a question to an actor may take.</summary>
    private static readonly TimeSpan AskTimeout = TimeSpan.FromSeconds(5);

    /// <summary>For a question that waits for devices: the supervisor itself says in time which of them are missing.</summary>
    private static readonly TimeSpan DevicesTimeout = PendingReplies.Patience + AskTimeout;

    /// <summary>A device gives its workers 1 s; with this and what follows, a stop takes less than 2 s.</summary>
    private static readonly TimeSpan StopTimeout = TimeSpan.FromMilliseconds(1500);

    /// <summary>For the actor system itself, which has nothing left to do by then.</summary>
    private static readonly TimeSpan TerminateTimeout = TimeSpan.FromMilliseconds(400);

    private readonly ReadinessLoop _loop;
    private readonly ImmutableArray<OwnedFd> _inherited;
    private readonly Lazy<Task> _stopped;

    private RingmasterBackend(ActorSystem system, IActorRef supervisor, ReadinessLoop loop, ImmutableArray<OwnedFd> inherited)
    {
        System = system;
        Supervisor = supervisor;
        _loop = loop;
        _inherited = inherited;
        _stopped = new Lazy<Task>(StopOnceAsync);
    }

    /// <summary>The actor system. It ends with the back-end.</summary>
    public ActorSystem System { get; }

    /// <summary>The actor above all devices: takes the messages of <c>BackendMessages.cs</c>.</summary>
    public IActorRef Supervisor { get; }

    /// <summary>Brings up all devices and returns when front-ends can connect to each of them.</summary>
    /// <param name="settings">What to bring up.</param>
    /// <param name="akka">Goes before <see cref="BackendSettings.ActorSystem"/>, for loggers and such; null = nothing.</param>
    /// <param name="cancellation">Ends the attempt; what came up is stopped again.</param>
    /// <exception cref="BackendStartException">A device could not be opened, or not in 30 s. Nothing stays up.</exception>
    public static Task<RingmasterBackend> StartAsync(
        BackendSettings settings,
        Config? akka = null,
        CancellationToken cancellation = default) =>
        StartAsync(settings, WorkerThread.Start, device => new NetworkCard(device), akka, cancellation);

    /// <summary>The same with other workers or other kinds of device.</summary>
    internal static async Task<RingmasterBackend> StartAsync(
        BackendSettings settings,
        WorkerFactory workers,
        Func<DeviceSettings, IDeviceKind> kinds,
        Config? akka = null,
        CancellationToken cancellation = default)
    {
        ImmutableDictionary<int, OwnedFd> inherited = TakeInherited(settings);
        var loop = new ReadinessLoop("control");
        Config config = settings.ActorSystem.WithFallback(Defaults(settings));
        var system = ActorSystem.Create("ringmaster", akka is null ? config : akka.WithFallback(config));
        var parts = new DeviceParts(loop, workers, kinds, inherited);
        IActorRef supervisor = system.ActorOf(BackendSupervisor.Props(parts, ThreadAffinity.Allowed()), "backend");
        var backend = new RingmasterBackend(system, supervisor, loop, [.. inherited.Values]);
        try
        {
            await backend.BringUpAsync(settings, cancellation).ConfigureAwait(false);
            return backend;
        }
        catch
        {
            await backend.StopAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>The devices.</summary>
    public async Task<ImmutableArray<DeviceEntry>> GetDevicesAsync() =>
        (await Supervisor.Ask<DeviceList>(GetDevices.Instance, AskTimeout).ConfigureAwait(false)).Devices;

    /// <summary>The workers of a device, with their counters and the way onto their loops.</summary>
    /// <exception cref="ArgumentException">There is no such device.</exception>
    public async Task<ImmutableArray<WorkerHandle>> GetWorkersAsync(string device) =>
        (await AskDeviceAsync<WorkerList>(device, GetWorkers.Instance).ConfigureAwait(false)).Workers;

    /// <summary>How a device fares.</summary>
    /// <exception cref="ArgumentException">There is no such device.</exception>
    public Task<DeviceSnapshot> GetDeviceStatusAsync(string device) =>
        AskDeviceAsync<DeviceSnapshot>(device, GetDeviceStatus.Instance);

    /// <summary>Makes a worker fail, as if its own code had thrown.</summary>
    /// <returns>False when there is no such pair, or it has no worker at present.</returns>
    /// <exception cref="ArgumentException">There is no such device.</exception>
    public async Task<bool> InjectWorkerFaultAsync(string device, int pair, string reason) =>
        (await AskDeviceAsync<WorkerFaultInjected>(device, new InjectWorkerFault(pair, reason)).ConfigureAwait(false)).Posted;

    /// <summary>Adds, removes and restarts devices so that they are those of the settings; the others go on untouched.</summary>
    /// <param name="settings">What is to be. Nothing but the devices is looked at.</param>
    /// <param name="cancellation">Ends the wait; what was begun goes on.</param>
    public Task<Reloaded> ReloadAsync(BackendSettings settings, CancellationToken cancellation = default) =>
        Supervisor.Ask<Reloaded>(new Reload(settings.Devices), DevicesTimeout, cancellation);

    /// <summary>
    /// Stops everything, within 2 s: front-ends are cut off, socket files removed, workers ended. Asked again, it
    /// gives the same task.
    /// </summary>
    public Task StopAsync() => _stopped.Value;

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync().ConfigureAwait(false);

    /// <summary>
    /// Takes over the sockets that the process was started with, before anything here opens an fd that could have the
    /// number of one that is missing.
    /// </summary>
    private static ImmutableDictionary<int, OwnedFd> TakeInherited(BackendSettings settings)
    {
        ImmutableArray<DeviceSettings> wanting = [.. settings.Devices.Where(device => device.SocketFd is not null)];
        ImmutableArray<DeviceOutcome> failed = [.. wanting
            .Where(device => !IsSocket(device.SocketFd!.Value))
            .Select(device => new DeviceOutcome(device.Name, $"fd {device.SocketFd} is not an open socket"))];
        return failed.IsEmpty
            ? wanting.Select(device => device.SocketFd!.Value).Distinct().ToImmutableDictionary(fd => fd, OwnedFd.Inherit)
            : throw new BackendStartException(failed);
    }

    private static bool IsSocket(int fd)
    {
        try
        {
            return new FileInfo($"/proc/self/fd/{fd}").LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) == true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static Config Defaults(BackendSettings settings)
    {
        string level = settings.Log.Level switch
        {
            LogThreshold.Debug => "DEBUG",
            LogThreshold.Info => "INFO",
            LogThreshold.Warning => "WARNING",
            LogThreshold.Error => "ERROR",
            _ => "OFF",
        };

        // Signals are the executable's affair. What is left over in mailboxes at the end is not worth a line.
        return ConfigurationFactory.ParseString($$"""
            akka {
              loglevel = {{level}}
              logger-formatter = "Akka.Event.SemanticLogMessageFormatter, Akka"
              log-dead-letters-during-shutdown = off
              coordinated-shutdown.run-by-clr-shutdown-hook = off
            }
            """);
    }

    private async Task BringUpAsync(BackendSettings settings, CancellationToken cancellation)
    {
        BackendStarted started = await Supervisor
            .Ask<BackendStarted>(new StartDevices(settings.Devices), DevicesTimeout, cancellation).ConfigureAwait(false);
        ImmutableArray<DeviceOutcome> failed = [.. started.Outcomes.Where(outcome => outcome.Error is not null)];
        if (!failed.IsEmpty)
        {
            throw new BackendStartException(failed);
        }
    }

    private async Task<T> AskDeviceAsync<T>(string device, object question)
    {
        ImmutableArray<DeviceEntry> devices = await GetDevicesAsync().ConfigureAwait(false);
        DeviceEntry entry = devices.FirstOrDefault(each => each.Name == device)
            ?? throw new ArgumentException($"there is no device {device}", nameof(device));
        return await entry.Supervisor.Ask<T>(question, AskTimeout).ConfigureAwait(false);
    }

    private async Task StopOnceAsync()
    {
        try
        {
            await Supervisor.Ask<BackendStopped>(StopBackend.Instance, StopTimeout).ConfigureAwait(false);
        }
        catch (AskTimeoutException)
        {
            // Some device hangs in the kernel: the actors' PostStop closes what they can.
        }

        await Task.WhenAny(System.Terminate(), Task.Delay(TerminateTimeout)).ConfigureAwait(false);
        _loop.Dispose();
        foreach (OwnedFd socket in _inherited)
        {
            socket.Dispose();
        }
    }
}
