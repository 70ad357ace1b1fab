using System.Collections.Immutable;
using Akka.Event;
using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Device;

/// <content>The way of a message, from the socket to the workers and back, and the end of a session.</content>
public sealed partial class DeviceSupervisor
{
    private void ReceiveNext()
    {
        if (_hostIsGone)
        {
            EndSession(HostIsGone);
            return;
        }

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

        if (MakeInband(step.Next) is { } reason)
        {
            Refuse(VhostUserSession.Refuse(_session.State, message, reason));
            return;
        }

        if (step.EndsTransfer)
        {
            AwaitTransfer(step);
            return;
        }

        Prepare(step);
    }

    private void Prepare(PendingStep step)
    {
        ImmutableArray<int> starting = step.StartedRings;
        foreach (int ring in starting)
        {
            _pairs.Revive(ring / 2);
        }

        // Frames must find their queue when the front-end is told that its ring runs, a broken ring's as well. What only stops
        // rings is done first, and the host's side follows; what is nothing to the host's side does not depend on it.
        DeviceDemand demand = DemandOfHost(step.Next, starting);
        bool hostFirst = _host.DiffersFrom(demand) && !demand.Equals(DemandOfHost(_session!.State, [])) && !step.OnlyStops;
        if (step.ChangesMaps || hostFirst)
        {
            Enter(DevicePhase.Serving, Preparing);
            _host.Prepare(step, hostFirst ? demand : null);
            return;
        }

        Commit(step, _session!.Maps);
    }

    private void OnPrepared(Prepared message) => Commit(message.Step, _host.Take(message));

    private void OnPrepareFailed(PrepareFailed message)
    {
        if (message.Cause is not (GuestMemoryException or IOException))
        {
            _log.Error(message.Cause, "device {Device}: a message could not be carried out", Name);
        }

        _host.Doubt();
        VhostUserMessage refused = message.Step.Message;
        SessionState state = refused.Code == RequestCode.SetFeatures
            ? DeviceRequests.WithFeaturesRefused(_session!.State)
            : _session!.State;
        Refuse(VhostUserSession.Refuse(state, refused, message.Cause.Message));
        RefreshHost();
    }

    private void Refuse(SessionStep refusal)
    {
        LogRefusal(refusal.Refusal!);
        IoResult sent = _session!.Refuse(refusal);
        if (refusal.Reply.EndsSession)
        {
            EndSession("a refusal that it would take for success");
            return;
        }

        AfterReply(sent);
    }

    private void Commit(PendingStep step, GuestMaps maps)
    {
        ImmutableArray<int> started = step.StartedRings;
        SessionState before = _session!.State;
        _session.Commit(maps);
        FollowBackendChannel(before);
        FollowTransfer(before, step.Loaded);
        LogNegotiated(started);
        _pairs.StartAnew(started);
        _pairs.ReconcileAll();
        KickRings(step.Kicks);
        foreach (Announce announce in step.Announcements)
        {
            _frontendLog.Info("device {Device}: announces {Mac}", Name, announce.Mac);
            _pairs.PostToFirst(new SendFrame(_host.Kind.Announcement(announce.Mac)));
        }

        AwaitWorkers(() =>
        {
            RefreshHost();
            AfterReply(_session.Finish());
        });
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
        _frontendLog.Info(
            "device {Device}: front-end gone, session {Session}: {Reason}",
            Name, _session!.Number, reason ?? "it closed the connection");
        CloseBackendChannel();
        _session.End();
        FollowLink();
        _phase = DevicePhase.Closing;
        _pairs.ReconcileAll();
        AwaitWorkers(ReleaseSession);
    }

    private void ReleaseSession()
    {
        _session!.Dispose();
        _session = null;
        ThrowIfHostIsGone();
        if (!_host.DiffersFrom(DeviceDemand.None))
        {
            ListenAgain();
            return;
        }

        Enter(DevicePhase.Closing, Closing);
        _host.Change(DeviceDemand.None);
    }

    private void OnHostQuiet(HostChanged message)
    {
        ThrowIfHostIsGone();
        ListenAgain();
    }

    /// <summary>The interface was removed under our feet, for one: everything is opened anew.</summary>
    private void OnHostLost(HostChangeFailed message) => throw new DeviceLostException(Name, message.Cause);

    /// <summary>What more there is of one session says nothing new.</summary>
    private void LogRefusal(string refusal)
    {
        if (++_refusals <= LoggedRefusals)
        {
            _frontendLog.Warning("device {Device}: {Refusal}", Name, refusal);
        }
        else
        {
            _frontendLog.Debug("device {Device}: {Refusal}", Name, refusal);
        }

        if (_refusals == LoggedRefusals)
        {
            _frontendLog.Warning(
                "device {Device}: further refusals of session {Session} are logged as debug only", Name, _sessions);
        }
    }

    private void LogNegotiated(ImmutableArray<int> started)
    {
        if (started.IsEmpty || _negotiated)
        {
            return;
        }

        _negotiated = true;
        SessionState state = _session!.State;
        _frontendLog.Info(
            "device {Device}: front-end negotiated {Features}; protocol features {ProtocolFeatures}; {Regions} memory regions",
            Name, state.Features, state.ProtocolFeatures, state.Regions.Length);
    }

    private static void DropFrontendEvent(FrontendEvent message) => (message.Event as MessageReceived)?.Message.Dispose();
}
