using Ringmaster.Actors.Settings;
using Ringmaster.Native.Linux;

namespace Ringmaster.Actors.Device;

/// <summary>
/// Where front-ends come in: a listening socket of our own or inherited, or one inherited connection. While one front-end is
/// served the door is not watched, so a second one waits in the socket's backlog and is never accepted just to be dropped.
/// </summary>
internal sealed class FrontendDoor : IDisposable
{
    private readonly UnixListener? _listener;
    private readonly Readiness? _readiness;
    private readonly Action _onKnock;
    private OwnedFd? _connection;

    private FrontendDoor(UnixListener listener, ReadinessLoop loop, Action onKnock)
    {
        _listener = listener;
        _onKnock = onKnock;
        _readiness = loop.Register(listener.Fd, onKnock);
    }

    private FrontendDoor(OwnedFd connection, Action onKnock)
    {
        _connection = connection;
        _onKnock = onKnock;
    }

    /// <summary>True when nobody can come any more: the inherited connection was served.</summary>
    internal bool Exhausted => _listener is null && _connection is null;

    /// <summary>Opens the door; does file system work, so not in an actor.</summary>
    /// <param name="settings">Names the socket.</param>
    /// <param name="parts">Holds the inherited sockets.</param>
    /// <param name="onKnock">Called once for each <see cref="Await"/>, on another thread.</param>
    /// <exception cref="IOException">The socket is not to be had.</exception>
    internal static FrontendDoor Open(DeviceSettings settings, DeviceParts parts, Action onKnock)
    {
        if (settings.SocketFd is not { } number)
        {
            return new FrontendDoor(UnixListener.Bind(settings.Socket), parts.Loop, onKnock);
        }

        if (!parts.InheritedSockets.TryGetValue(number, out OwnedFd? inherited))
        {
            throw new IOException($"this process was started without a socket as fd {number}");
        }

        OwnedFd socket = inherited.Duplicate();
        return UnixSocket.IsListening(socket)
            ? new FrontendDoor(UnixListener.Adopt(socket), parts.Loop, onKnock)
            : new FrontendDoor(socket, onKnock);
    }

    /// <summary>Asks for one knock, now if somebody waits already.</summary>
    internal void Await()
    {
        if (_readiness is not null)
        {
            _readiness.Arm();
        }
        else if (_connection is not null)
        {
            _onKnock();
        }
    }

    /// <summary>Lets one front-end in; null when nobody is there (any more).</summary>
    /// <exception cref="LinuxException">No descriptor is left, and the like: the front-end still waits.</exception>
    internal OwnedFd? TryAccept()
    {
        if (_listener is not null)
        {
            return _listener.TryAccept();
        }

        OwnedFd? connection = _connection;
        _connection = null;
        return connection;
    }

    /// <summary>Closes the door and removes the socket file that it made.</summary>
    public void Dispose()
    {
        _readiness?.Dispose();
        _listener?.Dispose();
        _connection?.Dispose();
    }
}
