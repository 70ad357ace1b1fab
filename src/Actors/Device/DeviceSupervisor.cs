using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.QueuePair;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Device;

/// <summary>
/// One virtual device: its socket, the front-end that is served, guest memory, the host's side and the live plans of all
/// rings; the parent of one <see cref="QueuePairActor"/> per pair.
/// </summary>
/// <remarks>
/// <para>States (docs/supervision.md has them as a table):</para>
/// <list type="bullet">
/// <item>Opening: the host's side and the socket are being opened. Failed: that failed; again after a back-off, for ever.</item>
/// <item>Listening: nobody is connected. Serving: the front-end's next message is awaited.</item>
/// <item>Preparing: what a message asks of memory and of the host's side is being done, away from the actor.</item>
/// <item>AwaitingWorkers: workers have been told; the reply, or the end of the session, waits for the last of them.</item>
/// <item>Closing: the front-end and its rings have gone; the host's side is being quieted.</item>
/// <item>Finished: the one inherited connection has ended. Stopping: everything is being released.</item>
/// </list>
/// <para>
/// Every message takes one and the same way: step, prepare, commit, bring each worker from what it was told to what the
/// new state wants, reply once all have answered. A worker that died, or is overdue, counts as having answered. The
/// connection is not read before the reply, so nothing has to be stashed. No handler blocks: see <see cref="HostSide"/>.
/// </para>
/// </remarks>
public sealed class DeviceSupervisor : ReceiveActor, IWithTimers
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(1);

    private readonly DeviceSettings _settings;
    private readonly DeviceParts _parts;
    private readonly ImmutableArray<int?> _cpus;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly HostSide _host;
    private readonly PairSet _pairs;
    private DeviceProfile? _profile;
    private FrontendDoor? _door;
    private FrontendSession? _session;
    private DevicePhase _phase;
    private Action? _onQuiet;
    private string? _error;
    private long _sessions;
    private int _attempts;
    private bool _negotiated;

    /// <summary>Use <see cref="Props"/>.</summary>
    public DeviceSupervisor(DeviceSettings settings, DeviceParts parts, ImmutableArray<int?> cpus)
    {
        _settings = settings;
        _parts = parts;
        _cpus = cpus;
        _host = new HostSide(settings, parts, Self);
        _pairs = new PairSet(settings, parts.Workers, Context, this, _log)
        {
            Demand = DemandOfPair,
            Plan = pair => _host.Kind.PlanWorker(pair.Index, pair.Generation, pair.Cpu, pair.Counters),
            RingStoppedAt = OnRingStoppedAt,
            RingGivenUp = OnRingGivenUp,
            HealthChanged = RefreshHost,
        };
        Become(Opening);
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    private string Name => _settings.Name;

    private bool IsServing => _session is { Ended: false };

    /// <summary>The recipe for one device's supervisor.</summary>
    /// <param name="settings">The device.</param>
    /// <param name="parts">What all devices share.</param>
    /// <param name="cpus">The CPU of each pair's worker; null = not pinned.</param>
    public static Props Props(DeviceSettings settings, DeviceParts parts, ImmutableArray<int?> cpus) =>
        Akka.Actor.Props.Create(() => new DeviceSupervisor(settings, parts, cpus));

    /// <inheritdoc/>
    protected override void PreStart() => _host.Open();

    /// <summary>Whatever ended the actor, nothing stays open. The workers were told to exit by their actors.</summary>
    protected override void PostStop()
    {
        _door?.Dispose();
        _host.Release(_session);
    }

    /// <inheritdoc/>
    protected override SupervisorStrategy SupervisorStrategy() =>
        new OneForOneStrategy(maxNrOfRetries: -1, withinTimeMilliseconds: -1, localOnlyDecider: Decide, loggingEnabled: false);

    private Directive Decide(Exception failure)
    {
        if (failure is WorkerFailedException workerFailure)
        {
            return _pairs.OnFailure(workerFailure);
        }

        // A fault of the actor itself says nothing about its thread, so no other may be started beside it.
        _log.Error(failure, "device {Device}: the actor of a pair failed", Name);
        return Directive.Stop;
    }

    private void Opening()
    {
        Receive<Opened>(OnOpened);
        Receive<OpenFailed>(OnOpenFailed);
        Common();
    }

    private void Failed()
    {
        Receive<Retry>(OnRetryOpen);
        Common();
    }

    private void Listening()
    {
        Receive<FrontendKnocked>(OnKnock);
        Receive<Retry>(OnRetryAccept);
        Common();
    }

    private void Serving()
    {
        Receive<FrontendEvent>(e => e.Session == _session!.Number, OnFrontendEvent);
        Common();
    }

    private void Preparing()
    {
        Receive<Prepared>(OnPrepared);
        Receive<PrepareFailed>(OnPrepareFailed);
        Common();
    }

    private void AwaitingWorkers() => Common();

    private void Closing()
    {
        Receive<HostChanged>(change => change.Demand.Equals(DeviceDemand.None), OnHostQuiet);
        Receive<HostChangeFailed>(OnHostLost);
        Common();
    }

    private void Finished() => Common();

    private void Stopping()
    {
        Receive<Opened>(OnOpenedTooLate);
        Receive<OpenFailed>(OnOpenFailedTooLate);
        Receive<Prepared>(OnPreparedTooLate);
        Receive<Terminated>(OnPairEnded);
        Receive<StopTimedOut>(OnStopTimedOut);
        Receive<HostReleased>(OnHostReleased);
        Receive<StopDevice>(Ignore);
        Receive<PairStarted>(Ignore);
        Common();
    }

    private void Common()
    {
        Receive<PairStarted>(OnPairStarted);
        Receive<StartPair>(OnStartPair);
        Receive<WorkerCreated>(OnWorkerCreated);
        Receive<WorkerReported>(OnWorkerReported);
        Receive<PairSilent>(OnPairSilent);
        Receive<Terminated>(OnTerminated);
        Receive<GetWorkers>(OnGetWorkers);
        Receive<GetDeviceStatus>(OnGetDeviceStatus);
        Receive<InjectWorkerFault>(OnInjectWorkerFault);
        Receive<StopDevice>(OnStopDevice);
        Receive<HostChanged>(Ignore);
        Receive<HostChangeFailed>(OnHostChangeFailed);
        Receive<FrontendEvent>(DropFrontendEvent);
        Receive<FrontendKnocked>(Ignore);
    }

    private void Enter(DevicePhase phase, Action state)
    {
        _phase = phase;
        Become(state);
    }

    // Opening, listening

    private void OnOpened(Opened message)
    {
        _host.Adopt(message);
        _profile = message.Profile;
        _door = message.Door;
        _error = null;
        _attempts = 0;
        _pairs.Create(_cpus);
        AwaitWorkers(OnUp);
    }

    private void OnUp()
    {
        string where = _settings.SocketFd is { } fd ? $"fd {fd}" : _settings.Socket;
        _log.Info("device {Device}: up, front-ends come in at {Socket}; {Host}", Name, where, _host.Kind.Describe());
        Context.Parent.Tell(new DeviceUp(Name));
        Listen();
    }

    private void OnOpenFailed(OpenFailed message)
    {
        _error = message.Cause.Message;
        TimeSpan delay = Backoff.Delay(_settings.Restart, ++_attempts);
        _log.Error(
            "device {Device}: cannot be opened: {Reason}; next attempt in {Delay} ms",
            Name, _error, delay.TotalMilliseconds);
        Context.Parent.Tell(new DeviceFailed(Name, _error));
        Timers.StartSingleTimer(Retry.Instance, Retry.Instance, delay);
        Enter(DevicePhase.Failed, Failed);
    }

    private void OnRetryOpen(Retry message)
    {
        Enter(DevicePhase.Opening, Opening);
        _host.Open();
    }

    private void Listen()
    {
        if (_door!.Exhausted)
        {
            _log.Info("device {Device}: its only connection has ended", Name);
            Enter(DevicePhase.Finished, Finished);
            Context.Parent.Tell(new DeviceFinished(Name));
            return;
        }

        Enter(DevicePhase.Listening, Listening);
        _door.Await();
    }

    private void OnKnock(FrontendKnocked message)
    {
        try
        {
            if (_door!.TryAccept() is not { } socket)
            {
                Listen();
                return;
            }

            Serve(socket);
        }
        catch (LinuxException e)
        {
            _log.Warning("device {Device}: a front-end could not be let in: {Reason}", Name, e.Message);
            Timers.StartSingleTimer(Retry.Instance, Retry.Instance, _settings.Restart.MinBackoff);
        }
    }

    private void OnRetryAccept(Retry message) => Listen();

    private void Serve(OwnedFd socket)
    {
        IActorRef self = Self;
        long number = _sessions + 1;
        SessionState state = VhostUserSession.Begin(_profile!);
        _session = FrontendSession.Open(number, state, socket, _parts.Loop, e => self.Tell(new FrontendEvent(number, e)));
        _sessions = number;
        _negotiated = false;
        _log.Info("device {Device}: front-end connected, session {Session}", Name, number);
        ReceiveNext();
    }

    // Serving

    private void ReceiveNext()
    {
        Enter(DevicePhase.Serving, Serving);
        _session!.ReceiveNext();
    }

    private void OnFrontendEvent(FrontendEvent message)
    {
        switch (message.Event)
        {
            case MessageReceived received:
                OnMessage(received.Message);
                break;
            case ConnectionClosed closed:
                EndSession(closed.Reason);
                break;
        }
    }

    private void OnMessage(VhostUserMessage message)
    {
        _log.Debug("device {Device}: front-end sent {Message}", Name, message);
        PendingStep step = _session!.Begin(message);
        if (step.Outcome.Refusal is not null)
        {
            Refuse(step.Outcome);
            return;
        }

        foreach (int ring in step.StartedRings)
        {
            _pairs.Revive(ring / 2);
        }

        DeviceDemand demand = DemandOfHost(step.Next);
        if (step.ChangesMaps || _host.DiffersFrom(demand))
        {
            Enter(DevicePhase.Serving, Preparing);
            _host.Prepare(step, demand);
            return;
        }

        Commit(step, _session.Maps);
    }

    private void OnPrepared(Prepared message) => Commit(message.Step, message.Maps);

    private void OnPrepareFailed(PrepareFailed message)
    {
        if (message.Cause is not (GuestMemoryException or IOException))
        {
            _log.Error(message.Cause, "device {Device}: a message could not be carried out", Name);
        }

        _host.Doubt();
        Refuse(VhostUserSession.Refuse(_session!.State, message.Step.Message, message.Cause.Message));
        RefreshHost();
    }

    private void Refuse(SessionStep refusal)
    {
        _log.Warning("device {Device}: {Refusal}", Name, refusal.Refusal);
        AfterReply(_session!.Refuse(refusal));
    }

    private void Commit(PendingStep step, GuestMaps maps)
    {
        ImmutableArray<int> started = step.StartedRings;
        _session!.Commit(maps);
        LogNegotiated(started);
        _pairs.StartAnew(started);
        _pairs.ReconcileAll();
        foreach (Announce announce in step.Announcements)
        {
            _log.Info("device {Device}: announces {Mac}", Name, announce.Mac);
            _pairs.PostToFirst(new SendFrame(_host.Kind.Announcement(announce.Mac)));
        }

        RefreshHost();
        AwaitWorkers(() => AfterReply(_session.Finish()));
    }

    private void AfterReply(IoResult sent)
    {
        if (sent.Ok)
        {
            ReceiveNext();
        }
        else
        {
            EndSession($"the reply could not be sent: {sent}");
        }
    }

    private void EndSession(string? reason)
    {
        _log.Info(
            "device {Device}: front-end gone, session {Session}: {Reason}",
            Name, _session!.Number, reason ?? "it closed the connection");
        _session.End();
        _phase = DevicePhase.Closing;
        _pairs.ReconcileAll();
        AwaitWorkers(ReleaseSession);
    }

    private void ReleaseSession()
    {
        _session!.Dispose();
        _session = null;
        if (!_host.DiffersFrom(DeviceDemand.None))
        {
            Listen();
            return;
        }

        Enter(DevicePhase.Closing, Closing);
        _host.Change(DeviceDemand.None);
    }

    private void OnHostQuiet(HostChanged message) => Listen();

    /// <summary>The interface was removed under our feet, for one: everything is opened anew.</summary>
    private void OnHostLost(HostChangeFailed message) => throw new DeviceLostException(Name, message.Cause);

    // Workers

    private void AwaitWorkers(Action then)
    {
        _onQuiet = then;
        Become(AwaitingWorkers);
        GoOnWhenQuiet();
    }

    private void GoOnWhenQuiet()
    {
        if (_onQuiet is { } then && !_pairs.Busy)
        {
            _onQuiet = null;
            then();
        }
    }

    private void OnPairStarted(PairStarted message) => _pairs.OnPairStarted(message);

    private void OnStartPair(StartPair message) => _pairs.OnStartPair(message);

    private void OnWorkerCreated(WorkerCreated message)
    {
        _pairs.OnWorkerCreated(message);
        GoOnWhenQuiet();
    }

    private void OnWorkerReported(WorkerReported message)
    {
        _pairs.OnReport(message);
        GoOnWhenQuiet();
    }

    private void OnPairSilent(PairSilent message)
    {
        _pairs.OnSilent(message);
        GoOnWhenQuiet();
    }

    private void OnTerminated(Terminated message)
    {
        _pairs.OnTerminated(message.ActorRef);
        GoOnWhenQuiet();
    }

    private PairDemand DemandOfPair(int pair)
    {
        return _session is { Ended: false } session
            ? new PairDemand(session.Maps, session.State.LogCall, session.State.PlanOf(2 * pair), session.State.PlanOf((2 * pair) + 1))
            : new PairDemand(GuestMaps.None, null, null, null);
    }

    private void OnRingStoppedAt(int pair, RingSide side, uint index)
    {
        int ring = (2 * pair) + (int)side;

        // A ring that was reset begins anew, wherever its worker left it.
        if (IsServing && _session!.State.Rings[ring].Size is not null)
        {
            _session.Amend(state => state.WithRingBase(ring, index));
        }
    }

    private void OnRingGivenUp(int pair, RingSide side, bool signalled)
    {
        int ring = (2 * pair) + (int)side;
        if (!IsServing || _session!.State.PlanOf(ring) is null)
        {
            return;
        }

        _session.Amend(state => state.WithNeedsReset());
        if (!signalled && _session.State.Rings[ring].Error is { } error)
        {
            EventFd.Signal(error);
        }
    }

    // The host's side

    private DeviceDemand DemandOfHost(SessionState state) => new(
        state.Features,
        state.Mtu,
        [.. _pairs.Usable.Where(pair => state.PlanOf(2 * pair) is { Enabled: true })]);

    /// <summary>Follows a change that no message asked for: a pair was given up, or has recovered.</summary>
    private void RefreshHost()
    {
        // A message that is being prepared has its own demand; this is looked at again when it is committed.
        if (!IsServing || _session!.Step is { Committed: false })
        {
            return;
        }

        DeviceDemand demand = DemandOfHost(_session.State);
        if (_host.DiffersFrom(demand))
        {
            _host.Change(demand);
        }
    }

    private void OnHostChangeFailed(HostChangeFailed message)
    {
        _log.Warning("device {Device}: {Reason}", Name, message.Cause.Message);
        _host.Doubt();
    }

    // Stopping

    private void OnStopDevice(StopDevice message)
    {
        bool opening = _phase == DevicePhase.Opening && _door is null;
        _log.Info("device {Device}: stopping", Name);
        _onQuiet = null;
        Enter(DevicePhase.Stopping, Stopping);
        Timers.Cancel(Retry.Instance);
        Timers.StartSingleTimer(StopTimedOut.Instance, StopTimedOut.Instance, StopTimeout);
        _door?.Dispose();
        _session?.End();
        _pairs.End();
        if (!opening)
        {
            ReleaseWhenEnded();
        }
    }

    private void OnOpenedTooLate(Opened message)
    {
        message.Door.Dispose();
        _host.Adopt(message);
        ReleaseWhenEnded();
    }

    private void OnOpenFailedTooLate(OpenFailed message) => ReleaseWhenEnded();

    private void OnPreparedTooLate(Prepared message) => message.Step.Unmap(message.Maps);

    private void OnPairEnded(Terminated message)
    {
        _pairs.OnEnded(message.ActorRef);
        ReleaseWhenEnded();
    }

    private void ReleaseWhenEnded()
    {
        if (_pairs.Ended)
        {
            Release();
        }
    }

    private void OnStopTimedOut(StopTimedOut message)
    {
        _log.Warning("device {Device}: some worker does not end; it keeps what it uses", Name);
        Release();
    }

    private void Release()
    {
        Timers.Cancel(StopTimedOut.Instance);
        Task<HostReleased> released = _host.Release(_session);
        _session = null;
        released.PipeTo(Self, failure: e => new HostReleased(e.GetBaseException()));
    }

    private void OnHostReleased(HostReleased message)
    {
        if (message.Cause is { } cause)
        {
            _log.Warning("device {Device}: could not be closed cleanly: {Reason}", Name, cause.Message);
        }

        _log.Info("device {Device}: down", Name);
        Context.Stop(Self);
    }

    // Questions

    private void OnGetWorkers(GetWorkers message) => Sender.Tell(new WorkerList(
        Name,
        [.. _pairs.All.Select(pair => new WorkerHandle($"{Name}/pair-{pair.Index}", pair))]));

    private void OnGetDeviceStatus(GetDeviceStatus message) => Sender.Tell(new DeviceSnapshot(
        Name,
        _phase,
        _session?.State.Features ?? default,
        _session?.State.ProtocolFeatures ?? default,
        _session?.State.ReportedStatus ?? default,
        _session?.Maps.Memory.Regions.Count ?? 0,
        _sessions,
        [.. _pairs.All.Select(pair => pair.Status)],
        _error));

    private void OnInjectWorkerFault(InjectWorkerFault message)
    {
        bool posted = _pairs.InjectFault(message.Pair, message.Reason);
        Sender.Tell(new WorkerFaultInjected(message.Pair, posted));
    }

    private void LogNegotiated(ImmutableArray<int> started)
    {
        if (started.IsEmpty || _negotiated)
        {
            return;
        }

        _negotiated = true;
        SessionState state = _session!.State;
        _log.Info(
            "device {Device}: front-end negotiated {Features}; protocol features {ProtocolFeatures}; {Regions} memory regions",
            Name, state.Features, state.ProtocolFeatures, state.Regions.Length);
    }

    private static void DropFrontendEvent(FrontendEvent message) => (message.Event as MessageReceived)?.Message.Dispose();

    private static void Ignore(object message)
    {
        // It has been overtaken by what happened since.
    }

    private sealed record FrontendEvent(long Session, ConnectionEvent Event);

    private sealed record Retry
    {
        internal static readonly Retry Instance = new();

        private Retry()
        {
        }
    }

    private sealed record StopTimedOut
    {
        internal static readonly StopTimedOut Instance = new();

        private StopTimedOut()
        {
        }
    }
}

/// <summary>The host's side of a device is not what it was and could not be put right. The device is opened anew.</summary>
public sealed class DeviceLostException : Exception
{
    /// <summary>Names the device and what happened.</summary>
    public DeviceLostException(string device, Exception cause)
        : base($"device {device}: {cause.Message}", cause)
    {
    }
}
