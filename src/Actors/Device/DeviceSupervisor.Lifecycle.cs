using Akka.Actor;
using Akka.Event;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Device;

/// <content>Opening, and the end.</content>
public sealed partial class DeviceSupervisor
{
    // The kernel lets go of the interfaces of a process that was killed a moment after its end: of 64 with io_uring after 1.4 s.
    private const int BusyAttempts = 50;
    private static readonly TimeSpan BusyDelay = TimeSpan.FromMilliseconds(100);

    private void OnOpened(Opened message)
    {
        _host.Adopt(message);
        _profile = message.Profile;
        _door = message.Door;
        _error = null;
        _attempts = 0;
        _busyAttempts = 0;
        _pairs.Create(_cpus);
        _host.LookAtLink();
        AwaitWorkers(OnUp);
    }

    private void OnUp()
    {
        _log.Info("device {Device}: up, {Door}; {Host}", Name, _door!.Description, _host.Kind.Describe());
        if (_settings.ProtocolFeatures.HasFlag(ProtocolFeatures.Pagefault) && Userfault.Problem is { } reason)
        {
            _log.Info("device {Device}: post-copy migration to here is not offered: {Reason}", Name, reason);
        }

        Context.Parent.Tell(new DeviceUp(Name));
        Listen();
    }

    private void OnOpenFailed(OpenFailed message)
    {
        _error = message.Cause.Message;
        Enter(DevicePhase.Failed, Failed);
        if (message.Cause is LinuxException { Error: Errno.EBUSY } && _busyAttempts++ < BusyAttempts)
        {
            _log.Debug("device {Device}: waits for its interface: {Reason}", Name, _error);
            Timers.StartSingleTimer(Retry.Instance, Retry.Instance, BusyDelay);
            return;
        }

        TimeSpan delay = Backoff.ForEver(_settings.Restart, ++_attempts);
        _log.Error(
            "device {Device}: cannot be opened: {Reason}; next attempt in {Delay} ms",
            Name, _error, delay.TotalMilliseconds);
        Context.Parent.Tell(new DeviceFailed(Name, _error));
        Timers.StartSingleTimer(Retry.Instance, Retry.Instance, delay);
    }

    private void OnRetryOpen(Retry message)
    {
        Enter(DevicePhase.Opening, Opening);
        _host.Open();
    }

    private void OnStopDevice(StopDevice message)
    {
        _log.Info("device {Device}: stopping", Name);
        _onQuiet = null;
        Enter(DevicePhase.Stopping, Stopping);
        Timers.Cancel(Retry.Instance);
        Timers.StartSingleTimer(StopTimedOut.Instance, StopTimedOut.Instance, StopTimeout);
        _door?.Dispose();
        CloseBackendChannel();
        _session?.End();
        _pairs.End();
        ReleaseWhenEnded();
    }

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
}
