using Ringmaster.Native.Linux;

namespace Ringmaster.Actors.Device;

/// <summary>A socket that listens. While a front-end is served it is not watched: a second one waits in its backlog.</summary>
internal sealed class ListeningDoor : FrontendDoor
{
    private readonly UnixListener _listener;
    private readonly Readiness _readiness;

    /// <param name="listener">From here on owned by the door.</param>
    /// <param name="place">What the operator knows the socket by.</param>
    /// <param name="loop">Watches the socket.</param>
    /// <param name="onAnswer">See <see cref="FrontendDoor.Open"/>.</param>
    internal ListeningDoor(UnixListener listener, string place, ReadinessLoop loop, Action<DoorAnswer> onAnswer)
    {
        _listener = listener;
        _readiness = loop.Register(listener.Fd, () => onAnswer(FrontendKnocked.Instance));
        Description = $"front-ends come in at {place}";
    }

    internal override string Description { get; }

    internal override void Await() => _readiness.Arm();

    internal override OwnedFd? TryAccept() => _listener.TryAccept();

    public override void Dispose()
    {
        _readiness.Dispose();
        _listener.Dispose();
    }
}
