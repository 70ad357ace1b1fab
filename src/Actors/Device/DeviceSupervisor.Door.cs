using Akka.Actor;
using Akka.Event;
using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;

namespace Ringmaster.Actors.Device;

/// <content>Front-ends come in, or are called on where they listen themselves.</content>
public sealed partial class DeviceSupervisor
{
    private void Listen()
    {
        ThrowIfHostIsGone();
        if (_door!.Exhausted)
        {
            _log.Info("device {Device}: its only connection has ended", Name);
            Enter(DevicePhase.Finished, Finished);
            Context.Parent.Tell(new DeviceFinished(Name));
            return;
        }

        Enter(_door.Connects ? DevicePhase.Connecting : DevicePhase.Listening, Listening);
        _door.Await();
    }

    /// <summary>
    /// After a session. A front-end that accepts and hangs up must not be called on without a pause: the back-off begins
    /// anew only once rings ran.
    /// </summary>
    private void ListenAgain()
    {
        if (!_door!.Connects)
        {
            _attempts = 0;
            Listen();
            return;
        }

        _attempts = _negotiated ? 0 : _attempts;
        Enter(DevicePhase.Connecting, Listening);
        CallAgainLater();
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
            TimeSpan delay = Backoff.ForEver(_settings.Restart, ++_attempts);
            _log.Warning(
                "device {Device}: a front-end could not be let in: {Reason}; next attempt in {Delay} ms",
                Name, e.Message, delay.TotalMilliseconds);
            Timers.StartSingleTimer(Retry.Instance, Retry.Instance, delay);
        }
    }

    /// <summary>Nobody listens: the ordinary case, told once and not each time. Anything else is told when it changes.</summary>
    private void OnAbsent(FrontendAbsent message)
    {
        const string News = "device {Device}: {Reason}; next attempt in {Delay} ms, and so on until a front-end is there";
        string reason = message.IsOrdinary ? "nobody listens there" : message.Result.ToString();
        TimeSpan delay = CallAgainLater();
        if (reason == _error)
        {
            _log.Debug(
                "device {Device}: attempt {Attempt} to connect: {Result}; next in {Delay} ms",
                Name, _attempts, message.Result, delay.TotalMilliseconds);
        }
        else if (message.IsOrdinary)
        {
            _log.Info(News, Name, reason, delay.TotalMilliseconds);
        }
        else
        {
            _log.Warning(News, Name, reason, delay.TotalMilliseconds);
        }

        _error = reason;
    }

    private TimeSpan CallAgainLater()
    {
        TimeSpan delay = Backoff.Delay(_settings.Connect.MinBackoff, _settings.Connect.MaxBackoff, ++_attempts);
        Timers.StartSingleTimer(Retry.Instance, Retry.Instance, delay);
        return delay;
    }

    private void OnRetryAccept(Retry message) => Listen();

    private void Serve(OwnedFd socket)
    {
        IActorRef self = Self;
        long number = _sessions + 1;
        SessionState state = VhostUserSession.Begin(_profile!) with { LinkUp = _linkUp };
        _session = FrontendSession.Open(number, state, socket, _parts.Loop, e => self.Tell(new FrontendEvent(number, e)));
        _sessions = number;
        _negotiated = false;
        _configOwed = false;
        _refusals = 0;
        _error = null;
        _frontendLog.Info("device {Device}: front-end connected, session {Session}", Name, number);
        ReceiveNext();
    }
}
