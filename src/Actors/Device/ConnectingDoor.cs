using Ringmaster.Native.Linux;

namespace Ringmaster.Actors.Device;

/// <summary>
/// A socket on which the front-end listens (client mode). Each <see cref="Await"/> is one attempt to connect, on the thread
/// pool: the connect itself does not wait, but the file system that the path leads through may.
/// </summary>
internal sealed class ConnectingDoor : FrontendDoor
{
    private readonly Lock _gate = new();
    private readonly string _path;
    private readonly Action<DoorAnswer> _onAnswer;
    private OwnedFd? _connection;
    private bool _disposed;

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

    internal override OwnedFd? TryAccept()
    {
        lock (_gate)
        {
            OwnedFd? connection = _connection;
            _connection = null;
            return connection;
        }
    }

    public override void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            _connection?.Dispose();
            _connection = null;
        }
    }

    private void Attempt()
    {
        IoResult result = UnixSocket.TryConnect(_path, out OwnedFd? socket);
        if (socket is null)
        {
            _onAnswer(new FrontendAbsent(result));
            return;
        }

        if (Keep(socket))
        {
            _onAnswer(FrontendKnocked.Instance);
        }
        else
        {
            socket.Dispose();
        }
    }

    /// <summary>False when the door was closed meanwhile.</summary>
    private bool Keep(OwnedFd socket)
    {
        lock (_gate)
        {
            _connection = _disposed ? null : socket;
            return !_disposed;
        }
    }
}
