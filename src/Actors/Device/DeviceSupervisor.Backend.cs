using Akka.Actor;
using Akka.Event;
using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Device;

/// <content>
/// What changes on the host's side while a front-end is served, and the requests by the back-end that tell of it.
/// </content>
public sealed partial class DeviceSupervisor
{
    private const string HostIsGone = "its interface was deleted";
    private static readonly TimeSpan TranslationRetry = TimeSpan.FromMilliseconds(100);

    private BackendRequests? _requests;
    private bool _configOwed;
    private bool _hostIsGone;
    private bool _hostLinkUp = true;
    private bool _linkHeldDown;
    private bool _linkUp = true;

    /// <summary>By the operator, or by the device from which the guest came; that one's word goes with its front-end.</summary>
    private bool LinkIsHeldDown => _linkHeldDown || _session is { Ended: false, LinkHeldDown: true };

    /// <summary>A message was carried out: follows what it says of the channel, and tells of what it changed.</summary>
    private void FollowBackendChannel(SessionState before)
    {
        SessionState state = _session!.State;
        if (!ReferenceEquals(before.BackendChannel, state.BackendChannel))
        {
            CloseBackendChannel();
            OpenBackendChannel(state.BackendChannel);

            // What was lacking before the channel is asked for now.
            _session.Amend(each => each with { Iotlb = each.Iotlb.Renew() });

            // Calls from before the channel were lost with nobody to take them; one too many does no harm.
            for (int ring = 0; ring < state.Rings.Length && state.Has(ProtocolFeatures.InbandNotifications); ring++)
            {
                TellOfCall(ring);
            }
        }

        _configOwed |= state.HasOtherConfigThan(before);
        TellOfConfig();
    }

    private void OpenBackendChannel(OwnedFd? socket)
    {
        if (socket is null)
        {
            return;
        }

        try
        {
            _requests = new BackendRequests(
                socket,
                new BackendRequests.Context(
                    Name,
                    Self,
                    Timers,
                    _parts.Loop,
                    _frontendLog,
                    () => _session!.State.Has(ProtocolFeatures.ReplyAck),
                    AskAgainLater));
        }
        catch (LinuxException e)
        {
            _frontendLog.Warning("device {Device}: the front-end's channel cannot be used: {Reason}", Name, e.Message);
        }
    }

    /// <summary>Makes what in-band notifications need once they are acknowledged.</summary>
    /// <returns>Null, or why that is not to be had.</returns>
    private string? MakeInband(SessionState next)
    {
        FrontendSession session = _session!;
        if (session.Inband is not null || !next.Has(ProtocolFeatures.InbandNotifications))
        {
            return null;
        }

        try
        {
            IActorRef self = Self;
            long number = session.Number;
            session.Inband = new InbandNotifications(
                next.Rings.Length,
                _parts.Loop,
                ring => self.Tell(new InbandCall(number, ring)));
            return null;
        }
        catch (LinuxException e)
        {
            return e.Message;
        }
    }

    private void KickRings(IEnumerable<int> rings)
    {
        foreach (int ring in rings)
        {
            _session!.Inband!.Kick(ring);
        }
    }

    private void OnInbandCall(InbandCall message)
    {
        if (IsServing && _session!.Number == message.Session)
        {
            _session.Inband!.TakeCall(message.Ring);
            TellOfCall(message.Ring);
        }
    }

    private void TellOfCall(int ring)
    {
        if (_session!.State.CallsByMessage(ring))
        {
            _requests?.Post(new BackendRequest(BackendRequestCode.VringCall, ring));
        }
    }

    private void TellOfRingError(int ring)
    {
        if (_session!.State.ErrorsByMessage(ring))
        {
            _requests?.Post(new BackendRequest(BackendRequestCode.VringErr, ring));
        }
    }

    /// <summary>QEMU gives no translation while it starts rings, nor has a guest one for each address that it names.</summary>
    private void AskAgainLater() => Timers.StartSingleTimer(AskAgain.Instance, AskAgain.Instance, TranslationRetry);

    private void OnAskAgain(AskAgain message)
    {
        if (IsServing)
        {
            _session!.Amend(state => state with { Iotlb = state.Iotlb.Renew() });
            _pairs.ReconcileAll();
        }
    }

    private void OnTranslationMissing(IotlbMiss missing)
    {
        if (IsServing)
        {
            _requests?.Post(new BackendRequest(BackendRequestCode.IotlbMsg, Missing: missing));
        }
    }

    private void CloseBackendChannel()
    {
        _requests?.Dispose();
        _requests = null;
    }

    /// <summary>A change that nobody could be told of yet is told of as soon as there is a channel.</summary>
    private void TellOfConfig()
    {
        const ProtocolFeatures Needed =
            ProtocolFeatures.Config | ProtocolFeatures.BackendReq;
        if (_configOwed && _requests is { } requests && _session!.State.Has(Needed))
        {
            _configOwed = false;
            requests.Post(BackendRequest.ConfigChange);
        }
    }

    /// <summary>The host's side has changed the configuration space.</summary>
    private void AmendConfig(Func<SessionState, SessionState> change)
    {
        if (!IsServing)
        {
            return;
        }

        SessionState before = _session!.State;
        _session.Amend(change);
        _configOwed |= _session.State.HasOtherConfigThan(before);
        TellOfConfig();
    }

    private void OnBackendChannelEvent(BackendChannelEvent message) => message.Channel.OnEvent(message.Event);

    private void OnBackendChannelRoom(BackendChannelRoom message) => message.Channel.OnRoom();

    private void OnBackendReplyOverdue(BackendReplyOverdue message) => message.Channel.OnOverdue();

    private void OnHostLinkNoticed(HostLinkNoticed message) => _host.LookAtLink();

    private void OnHostLink(HostLink message)
    {
        _host.LookedAtLink();
        _hostLinkUp = message.State == LinkState.Up;
        FollowLink();
        if (message.State == LinkState.Gone && !_hostIsGone)
        {
            _hostIsGone = true;
            OnHostGone();
        }
    }

    /// <summary>
    /// Somebody has deleted the interface. Nothing can be done with what is left of it: the front-end is cut off, which lets it
    /// come back, and everything is opened anew. A message that is under way is carried out first.
    /// </summary>
    private void OnHostGone()
    {
        _log.Warning("device {Device}: {Reason}", Name, HostIsGone);
        if (IsServing && _session!.Step is null)
        {
            EndSession(HostIsGone);
        }
        else if (_phase is DevicePhase.Listening or DevicePhase.Connecting)
        {
            ThrowIfHostIsGone();
        }
    }

    private void ThrowIfHostIsGone()
    {
        if (_hostIsGone)
        {
            throw new DeviceLostException(Name, new LinuxException(HostIsGone, Errno.ENODEV));
        }
    }

    private void OnHostLinkUnknown(HostLinkUnknown message)
    {
        _host.LookedAtLink();
        _log.Warning("device {Device}: the state of its link is not known: {Reason}", Name, message.Cause.Message);
    }

    private void OnSetLink(SetLink message)
    {
        _linkHeldDown = !message.Up;
        _session?.LinkHeldDown &= !message.Up;
        FollowLink();
        Sender.Tell(new LinkSet(Name, _linkUp));
    }

    private void FollowLink()
    {
        bool up = _hostLinkUp && !LinkIsHeldDown;
        if (up != _linkUp)
        {
            _linkUp = up;
            _frontendLog.Info("device {Device}: link {State}", Name, up ? "up" : "down");
            AmendConfig(state => state with { LinkUp = up });
        }
    }

    private void OnChangeMtu(ChangeMtu message)
    {
        if (_host.IsOpen)
        {
            _host.ChangeMtu(message.Mtu);
        }
        else
        {
            Context.Parent.Tell(new DeviceAdjusted(Name, message.Mtu, "it is not open"));
        }
    }

    private void OnMtuChanged(MtuChanged message)
    {
        if (message.Cause is { } cause)
        {
            _log.Warning("device {Device}: the MTU stays as it is: {Reason}", Name, cause.Message);
        }
        else
        {
            _profile = _profile! with { Mtu = message.Mtu };
            _log.Info("device {Device}: MTU {Mtu}", Name, message.Mtu);
            AmendConfig(state => state.WithConfiguredMtu(message.Mtu));
            RefreshHost();
        }

        Context.Parent.Tell(new DeviceAdjusted(Name, message.Mtu, message.Cause?.Message));
    }

    private sealed record AskAgain
    {
        internal static readonly AskAgain Instance = new();

        private AskAgain()
        {
        }
    }
}
