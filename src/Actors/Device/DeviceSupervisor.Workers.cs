using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.QueuePair;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Device;

/// <content>What workers should do, what they report, the host's side that follows, and questions about it all.</content>
public sealed partial class DeviceSupervisor
{
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
        if (_session is not { Ended: false } session)
        {
            return new PairDemand(GuestMaps.None, Iotlb.Empty, null, null, null);
        }

        SessionState state = session.State;
        return new PairDemand(session.Maps, state.Iotlb, state.LogCall, session.PlanOf(2 * pair), session.PlanOf((2 * pair) + 1));
    }

    private void OnRingStoppedAt(int pair, RingSide side, uint index)
    {
        int ring = (2 * pair) + (int)side;

        if (IsServing)
        {
            _session!.Amend(state => state.WithRingStopped(ring, index));
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
            _ = Doorbell.RingAsideAsync(error);
        }

        TellOfRingError(ring);
    }

    private DeviceDemand DemandOfHost(SessionState state, ImmutableArray<int> starting) => new(
        state.Features,
        state.Mtu,
        [.. _pairs.Usable(starting).Where(pair => state.PlanOf(2 * pair) is { Enabled: true })]);

    /// <summary>Follows a change that no message asked for: a pair was given up, or has recovered.</summary>
    private void RefreshHost()
    {
        // A message that is being prepared has its own demand; this is looked at again when it is committed.
        if (!IsServing || _session!.Step is { Committed: false })
        {
            return;
        }

        DeviceDemand demand = DemandOfHost(_session.State, []);
        if (_host.DiffersFrom(demand))
        {
            _host.Change(demand);
        }
    }

    private void OnHostChangeFailed(HostChangeFailed message)
    {
        _log.Warning("device {Device}: {Reason}", Name, message.Cause.Message);
        _host.Doubt();
        _host.LookAtLink();
    }

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
        _error)
    {
        LinkUp = _linkUp,
    });

    private void OnInjectWorkerFault(InjectWorkerFault message)
    {
        bool posted = _pairs.InjectFault(message.Pair, message.Reason);
        Sender.Tell(new WorkerFaultInjected(message.Pair, posted));
    }
}
