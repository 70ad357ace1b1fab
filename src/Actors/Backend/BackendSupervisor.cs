using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Settings;

namespace Ringmaster.Actors.Backend;

/// <summary>
/// All devices of the process: brings them up, adds, removes, reloads. One child per device; nothing that happens to one
/// reaches another.
/// </summary>
/// <remarks>
/// A device that cannot open its socket or its host's side says so and tries again by itself. A device whose actor fails (a
/// fault of this program) is stopped, which releases all that it holds, and made anew after a back-off. A device that is
/// removed has gone only when its actor has; one whose settings changed is made anew at that moment. States: Running, Stopping.
/// </remarks>
public sealed class BackendSupervisor : ReceiveActor, IWithTimers
{
    private readonly DeviceParts _parts;
    private readonly IReadOnlyList<int> _cpus;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly SortedDictionary<string, DeviceRecord> _devices = new(StringComparer.Ordinal);
    private readonly PendingReplies _pending;
    private IActorRef _stopRequester = ActorRefs.Nobody;

    /// <summary>Use <see cref="Props"/>.</summary>
    public BackendSupervisor(DeviceParts parts, IReadOnlyList<int> cpus)
    {
        _parts = parts;
        _cpus = cpus;
        _pending = new PendingReplies(this);
        Become(Running);
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>The recipe for the backend's supervisor.</summary>
    /// <param name="parts">What the devices share.</param>
    /// <param name="cpus">The CPUs that workers may be pinned to.</param>
    public static Props Props(DeviceParts parts, IReadOnlyList<int> cpus) =>
        Akka.Actor.Props.Create(() => new BackendSupervisor(parts, cpus));

    /// <inheritdoc/>
    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(_ => Directive.Stop);

    private void Running()
    {
        Receive<StartDevices>(OnStartDevices);
        Receive<AddDevice>(OnAddDevice);
        Receive<RemoveDevice>(OnRemoveDevice);
        Receive<Reload>(OnReload);
        Receive<Respawn>(OnRespawn);
        Receive<Terminated>(OnTerminated);
        Receive<StopBackend>(OnStopBackend);
        Common();
    }

    private void Stopping()
    {
        Receive<Terminated>(OnTerminatedWhileStopping);
        Receive<Respawn>(Ignore);
        Common();
    }

    private void Common()
    {
        Receive<DeviceUp>(OnDeviceUp);
        Receive<DeviceFailed>(OnDeviceFailed);
        Receive<DeviceFinished>(OnDeviceFinished);
        Receive<DeviceAdjusted>(OnDeviceAdjusted);
        Receive<ReplyOverdue>(OnReplyOverdue);
        Receive<GetDevices>(OnGetDevices);
    }

    private void OnStartDevices(StartDevices message)
    {
        _pending.Add(Sender, [.. message.Devices.Select(device => device.Name)], outcomes => new BackendStarted(outcomes));
        Add(message.Devices);
    }

    private void OnAddDevice(AddDevice message)
    {
        string name = message.Settings.Name;
        if (_devices.ContainsKey(name))
        {
            Sender.Tell(new DeviceOutcome(name, $"there is a device {name} already"));
            return;
        }

        _pending.Add(Sender, [name], outcomes => outcomes.Single());
        Add([message.Settings]);
    }

    private void OnRemoveDevice(RemoveDevice message)
    {
        if (!_devices.ContainsKey(message.Name))
        {
            Sender.Tell(new DeviceOutcome(message.Name, $"there is no device {message.Name}"));
            return;
        }

        _pending.Add(Sender, [message.Name], outcomes => outcomes.Single());
        Remove(message.Name, successor: null);
    }

    private void OnReload(Reload message)
    {
        Dictionary<string, DeviceSettings> wanted = message.Devices.ToDictionary(device => device.Name);
        ImmutableArray<string> removed = [.. _devices.Keys.Where(name => !wanted.ContainsKey(name))];
        ImmutableArray<string> added = [.. wanted.Keys.Where(name => !_devices.ContainsKey(name)).Order(StringComparer.Ordinal)];
        ImmutableArray<string> adjusted =
            [.. _devices.Values.Where(device => IsAdjustable(device, wanted)).Select(device => device.Settings.Name)];
        ImmutableArray<string> changed =
        [
            .. _devices.Values.Where(device => IsChanged(device, wanted)).Select(device => device.Settings.Name).Except(adjusted),
        ];

        _log.Info(
            "reload: {Added} devices to add, {Removed} to remove, {Restarted} to restart, {Adjusted} to adjust",
            added.Length, removed.Length, changed.Length, adjusted.Length);
        _pending.Add(
            Sender,
            [.. added, .. removed, .. changed, .. adjusted],
            outcomes => new Reloaded(added, removed, changed, outcomes) { Adjusted = [.. Done(outcomes).Intersect(adjusted)] });
        foreach (string name in removed)
        {
            Remove(name, successor: null);
        }

        foreach (string name in changed)
        {
            Remove(name, wanted[name]);
        }

        foreach (string name in adjusted)
        {
            Adjust(_devices[name], wanted[name]);
        }

        Add([.. added.Select(name => wanted[name])]);
    }

    private static bool IsChanged(DeviceRecord device, Dictionary<string, DeviceSettings> wanted) =>
        wanted.TryGetValue(device.Settings.Name, out DeviceSettings? settings)
        && (device.Leaving || !SettingsComparison.Same(device.Settings, settings));

    private static bool IsAdjustable(DeviceRecord device, Dictionary<string, DeviceSettings> wanted) =>
        device is { Up: true, Leaving: false }
        && wanted.TryGetValue(device.Settings.Name, out DeviceSettings? settings)
        && SettingsComparison.DifferInMtuAlone(device.Settings, settings);

    private static IEnumerable<string> Done(IEnumerable<DeviceOutcome> outcomes) =>
        outcomes.Where(outcome => outcome.Error is null).Select(outcome => outcome.Name);

    private static void Adjust(DeviceRecord device, DeviceSettings settings)
    {
        device.Settings = settings;
        device.Actor.Tell(new ChangeMtu(settings.Mtu!.Value));
    }

    private void Add(IReadOnlyCollection<DeviceSettings> devices)
    {
        IEnumerable<int> taken = _devices.Values.SelectMany(device => device.Cpus).OfType<int>();
        IReadOnlyDictionary<string, ImmutableArray<int?>> cpus = CpuPlan.Assign(devices, _cpus, taken);
        foreach (DeviceSettings settings in devices)
        {
            var device = new DeviceRecord(settings, cpus[settings.Name]);
            _devices.Add(settings.Name, device);
            Spawn(device);
        }
    }

    private void Spawn(DeviceRecord device)
    {
        Props props = DeviceSupervisor.Props(device.Settings, _parts, device.Cpus);
        device.Actor = Context.ActorOf(props, device.Settings.Name);
        device.Mtu = device.Settings.Mtu;
        Context.Watch(device.Actor);
    }

    private void Remove(string name, DeviceSettings? successor)
    {
        DeviceRecord device = _devices[name];
        device.Leaving = true;
        device.Successor = successor;
        Timers.Cancel(new Respawn(name));
        if (device.Actor.IsNobody())
        {
            Removed(device);
            return;
        }

        device.Actor.Tell(StopDevice.Instance);
    }

    private void Removed(DeviceRecord device)
    {
        string name = device.Settings.Name;
        _devices.Remove(name);
        if (device.Successor is { } successor)
        {
            Add([successor]);
            return;
        }

        _log.Info("device {Device}: removed", name);
        _pending.Settle(new DeviceOutcome(name));
    }

    private void OnDeviceUp(DeviceUp message)
    {
        if (_devices.TryGetValue(message.Name, out DeviceRecord? device) && Sender.Equals(device.Actor))
        {
            device.Up = true;
            device.Error = null;
            _pending.Settle(new DeviceOutcome(message.Name));
        }
    }

    private void OnDeviceFailed(DeviceFailed message) => NoteFailure(message.Name, message.Reason);

    private void OnDeviceFinished(DeviceFinished message) => NoteFailure(message.Name, "its only connection has ended");

    private void OnDeviceAdjusted(DeviceAdjusted message)
    {
        if (_devices.TryGetValue(message.Name, out DeviceRecord? device) && Sender.Equals(device.Actor))
        {
            device.Mtu = message.Error is null ? message.Mtu : device.Mtu;
            if (device.Settings.Mtu == message.Mtu)
            {
                // The next reload tries again what has failed. One that came meanwhile has the last word.
                device.Settings = device.Settings with { Mtu = device.Mtu };
            }
        }

        _pending.Settle(new DeviceOutcome(message.Name, message.Error));
    }

    /// <summary>Nobody waits for ever for a device that hangs, and its name is told.</summary>
    private void OnReplyOverdue(ReplyOverdue message)
    {
        foreach (DeviceOutcome missing in _pending.GiveUp(message))
        {
            _log.Error("device {Device}: {Reason}", missing.Name, missing.Error);
        }
    }

    private void NoteFailure(string name, string reason)
    {
        if (_devices.TryGetValue(name, out DeviceRecord? device) && Sender.Equals(device.Actor))
        {
            device.Up = false;
            device.Error = reason;
            _pending.Settle(new DeviceOutcome(name, reason));
        }
    }

    private void OnTerminated(Terminated message)
    {
        DeviceRecord? device = _devices.Values.FirstOrDefault(each => message.ActorRef.Equals(each.Actor));
        if (device is null)
        {
            return;
        }

        device.Actor = ActorRefs.Nobody;
        device.Up = false;
        if (device.Leaving)
        {
            Removed(device);
            return;
        }

        TimeSpan delay = device.NextRestart(Context.System.Scheduler.MonotonicClock);
        device.Error = "it failed and is being restarted";
        _log.Error("device {Device}: failed, is restarted in {Delay}", device.Settings.Name, delay);
        _pending.Settle(new DeviceOutcome(device.Settings.Name, device.Error));
        Timers.StartSingleTimer(new Respawn(device.Settings.Name), new Respawn(device.Settings.Name), delay);
    }

    private void OnRespawn(Respawn message)
    {
        if (_devices.TryGetValue(message.Name, out DeviceRecord? device) && device.Actor.IsNobody())
        {
            Spawn(device);
        }
    }

    private void OnStopBackend(StopBackend message)
    {
        _stopRequester = Sender;
        Become(Stopping);
        foreach (DeviceRecord device in _devices.Values)
        {
            device.Actor.Tell(StopDevice.Instance);
        }

        StopWhenEmpty();
    }

    private void OnTerminatedWhileStopping(Terminated message)
    {
        foreach (DeviceRecord device in _devices.Values.Where(each => message.ActorRef.Equals(each.Actor)))
        {
            device.Actor = ActorRefs.Nobody;
        }

        StopWhenEmpty();
    }

    private void StopWhenEmpty()
    {
        if (_devices.Values.All(device => device.Actor.IsNobody()))
        {
            _stopRequester.Tell(BackendStopped.Instance);
            Context.Stop(Self);
        }
    }

    private void OnGetDevices(GetDevices message) => Sender.Tell(new DeviceList(
        [.. _devices.Values.Select(device => new DeviceEntry(device.Settings.Name, device.Actor, device.Up, device.Error))]));

    private void Ignore(Respawn message)
    {
        // The back-end is stopping: no device comes back.
    }

    private sealed record Respawn(string Name);
}
