using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Device;

/// <summary>
/// Kicks and calls as messages (INBAND_NOTIFICATIONS), as the workers see them: eventfds like any other. A kick of the
/// front-end is signalled to the worker here; a call of the worker is heard here and becomes a request by the back-end. The
/// worker never touches a socket. Part of a front-end's session.
/// </summary>
internal sealed class InbandNotifications : IDisposable
{
    private readonly List<EventFd> _kicks = [];
    private readonly List<EventFd> _calls = [];
    private readonly List<Readiness> _heard = [];

    /// <summary>Makes what all rings need.</summary>
    /// <param name="rings">How many there are.</param>
    /// <param name="loop">Hears the calls.</param>
    /// <param name="onCall">
    /// Called on the loop's thread when the driver of a ring is to be called; not again before <see cref="TakeCall"/>.
    /// </param>
    /// <exception cref="LinuxException">No descriptor is left; nothing stays open.</exception>
    internal InbandNotifications(int rings, ReadinessLoop loop, Action<int> onCall)
    {
        try
        {
            for (int ring = 0; ring < rings; ring++)
            {
                int index = ring;
                _kicks.Add(new EventFd());
                _calls.Add(new EventFd());
                _heard.Add(loop.Register(_calls[ring].Fd, () => onCall(index)));
                _heard[ring].Arm();
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>A ring's plan with our eventfds where the front-end gave no fd and polls nothing.</summary>
    internal RingPlan Complete(SessionState state, int ring, RingPlan plan) => plan with
    {
        Kick = state.KicksByMessage(ring) ? _kicks[ring].Fd : plan.Kick,
        Call = state.CallsByMessage(ring) ? _calls[ring].Fd : plan.Call,
    };

    /// <summary>VRING_KICK came.</summary>
    internal void Kick(int ring) => _kicks[ring].Signal();

    /// <summary>The call has been taken notice of: the next one is heard again.</summary>
    internal void TakeCall(int ring)
    {
        _calls[ring].Drain();
        _heard[ring].Arm();
    }

    /// <summary>Only when no worker uses them any more.</summary>
    public void Dispose()
    {
        _heard.ForEach(readiness => readiness.Dispose());
        _kicks.ForEach(fd => fd.Dispose());
        _calls.ForEach(fd => fd.Dispose());
    }
}

/// <summary>A worker has called the driver of a ring that is called by messages.</summary>
internal sealed record InbandCall(long Session, int Ring);
