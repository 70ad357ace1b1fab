using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.QueuePair;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Device;

/// <summary>
/// One virtual device: its socket, the front-end that is served, guest memory, the host's side and the live plans of all
/// rings; the parent of one <see cref="QueuePairActor"/> per pair.
/// </summary>
/// <remarks>
/// <para>States (docs/supervision.md has them as a table):</para>
/// <list type="bullet">
/// <item>Opening: the host's side and the socket are being opened. Failed: that failed; again after a back-off, for ever.</item>
/// <item>Listening: nobody is connected; in client mode the front-end is tried. Serving: its next message is awaited.</item>
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
public sealed partial class DeviceSupervisor : ReceiveActor, IWithTimers
{
    private const int LoggedRefusals = 20;

    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(1);

    private readonly DeviceSettings _settings;
    private readonly DeviceParts _parts;
    private readonly ImmutableArray<int?> _cpus;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly FrontendLog _frontendLog;
    private readonly HostSide _host;
    private readonly PairSet _pairs;
    private DeviceProfile? _profile;
    private FrontendDoor? _door;
    private FrontendSession? _session;
    private DevicePhase _phase;
    private Action? _onQuiet;
    private string? _error;
    private long _sessions;

    /// <summary>To open the device, to let its front-end in, or in client mode to reach it: those in a row that failed.</summary>
    private int _attempts;
    private int _busyAttempts;
    private int _refusals;
    private bool _negotiated;

    /// <summary>Use <see cref="Props"/>.</summary>
    public DeviceSupervisor(DeviceSettings settings, DeviceParts parts, ImmutableArray<int?> cpus)
    {
        _settings = settings;
        _parts = parts;
        _cpus = cpus;
        _host = new HostSide(settings, parts, Self);
        IScheduler scheduler = Context.System.Scheduler;
        _frontendLog = new FrontendLog(_log, settings.Name, () => scheduler.MonotonicClock);
        _pairs = new PairSet(settings, parts.Workers, Context, this, _log, _frontendLog)
        {
            Demand = DemandOfPair,
            Plan = pair => _host.Kind.PlanWorker(pair.Index, pair.Generation, pair.Cpu, pair.Counters.Live),
            RingStoppedAt = OnRingStoppedAt,
            RingGivenUp = OnRingGivenUp,
            TranslationMissing = OnTranslationMissing,
            HealthChanged = RefreshHost,
            AwaitsPages = () => IsServing && _session!.AwaitsPages(),
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
        CloseBackendChannel();
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
        Receive<FrontendAbsent>(OnAbsent);
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
        Receive<TransferEnded>(ended => ReferenceEquals(ended.Step, _session!.Step), OnTransferEnded);
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
        Receive<Opened>(Ignore);
        Receive<OpenFailed>(Ignore);
        Receive<Prepared>(Ignore);
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
        Receive<BackendChannelEvent>(OnBackendChannelEvent);
        Receive<BackendChannelRoom>(OnBackendChannelRoom);
        Receive<BackendReplyOverdue>(OnBackendReplyOverdue);
        Receive<InbandCall>(OnInbandCall);
        Receive<AskAgain>(OnAskAgain);
        Receive<HostLinkNoticed>(OnHostLinkNoticed);
        Receive<HostLink>(OnHostLink);
        Receive<HostLinkUnknown>(OnHostLinkUnknown);
        Receive<SetLink>(OnSetLink);
        Receive<ChangeMtu>(OnChangeMtu);
        Receive<MtuChanged>(OnMtuChanged);
        Receive<HostChanged>(Ignore);
        Receive<TransferEnded>(Ignore);
        Receive<HostChangeFailed>(OnHostChangeFailed);
        Receive<FrontendEvent>(DropFrontendEvent);
        Receive<DoorAnswer>(Ignore);
    }

    private void Enter(DevicePhase phase, Action state)
    {
        _phase = phase;
        Become(state);
    }

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
