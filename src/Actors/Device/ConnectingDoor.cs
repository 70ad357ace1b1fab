using Ringmaster.Native.Linux;

namespace Ringmaster.Actors.Device;

/// <summary>
/// A socket on which the front-end listens (client mode). Each <see cref="Await"/> is one attempt to connect, on the thread
/// pool: the connect itself does not wait, but the file system that the path leads through may.
/// </summary>
internal sealed class ConnectingDoor : FrontendDoor
{
    private readonly string _path;
    private readonly Action<DoorAnswer> _onAnswer;
    private OwnedFd? _connection;
    private volatile bool _disposed;

    /// <param name="path">Where the front-end listens.</param>
    /// <param name="onAnswer">See <see cref="FrontendDoor.Open"/>.</param>
    internal ConnectingDoor(string path, Action<DoorAnswer> onAnswer)
    {
        _path = path;
        _onAnswer = onAnswer;
    }

    internal override string Description => $"connects to the front-end at {_path}";

    internal override bool Connects => true;

    internal override void Await() => Task.Run(Attempt);

    internal override OwnedFd? TryAccept() => Interlocked.Exchange(ref _connection, null);

    public override void Dispose()
    {
        _disposed = true;
        TryAccept()?.Dispose();
    }

    private void Attempt()
    {
        IoResult result = UnixSocket.TryConnect(_path, out OwnedFd? socket);
        if (socket is null)
        {
            _onAnswer(new FrontendAbsent(result));
            return;
        }

        // Whoever sees the other's write closes it: the door may have been closed meanwhile.
        Interlocked.Exchange(ref _connection, socket)?.Dispose();
        if (_disposed)
        {
            TryAccept()?.Dispose();
            return;
        }

        _onAnswer(FrontendKnocked.Instance);
    }
}
