using Ringmaster.Actors.Settings;
using Ringmaster.Native.Linux;

namespace Ringmaster.Actors.Device;

/// <summary>
/// Where front-ends come in: a socket that listens, our own or inherited; one inherited connection; or a front-end's own
/// socket, to which the door connects. While one front-end is served nobody else is let in just to be dropped.
/// </summary>
internal abstract class FrontendDoor : IDisposable
{
    /// <summary>For the operator: where front-ends come from.</summary>
    internal abstract string Description { get; }

    /// <summary>
    /// True when the door goes out to the front-end: each <see cref="Await"/> is one attempt, and whether and when there is
    /// another is the caller's to say.
    /// </summary>
    internal virtual bool Connects => false;

    /// <summary>True when nobody can come any more: the inherited connection was served.</summary>
    internal virtual bool Exhausted => false;

    /// <summary>Opens the door; does file system work, so not in an actor.</summary>
    /// <param name="settings">Names the socket.</param>
    /// <param name="parts">Holds the inherited sockets.</param>
    /// <param name="onAnswer">Called once for each <see cref="Await"/>, on another thread.</param>
    /// <exception cref="IOException">The socket is not to be had.</exception>
    internal static FrontendDoor Open(DeviceSettings settings, DeviceParts parts, Action<DoorAnswer> onAnswer)
    {
        if (settings.SocketFd is not { } number)
        {
            return settings.Mode == DeviceMode.Client
                ? new ConnectingDoor(settings.Socket, onAnswer)
                : new ListeningDoor(UnixListener.Bind(settings.Socket), settings.Socket, parts.Loop, onAnswer);
        }

        if (!parts.InheritedSockets.TryGetValue(number, out OwnedFd? inherited))
        {
            throw new IOException($"this process was started without a socket as fd {number}");
        }

        OwnedFd socket = inherited.Duplicate();
        return UnixSocket.IsListening(socket)
            ? new ListeningDoor(UnixListener.Adopt(socket), $"fd {number}", parts.Loop, onAnswer)
            : new ConnectionDoor(socket, number, onAnswer);
    }

    /// <summary>Asks for one answer: at once if somebody is there already.</summary>
    internal abstract void Await();

    /// <summary>Lets one front-end in; null when nobody is there (any more).</summary>
    /// <exception cref="LinuxException">No descriptor is left, and the like: the front-end still waits.</exception>
    internal abstract OwnedFd? TryAccept();

    /// <summary>Closes the door and removes the socket file that it made.</summary>
    public abstract void Dispose();
}

/// <summary>What a door says to its device.</summary>
internal abstract record DoorAnswer;

/// <summary>Somebody waits at the door.</summary>
internal sealed record FrontendKnocked : DoorAnswer
{
    internal static readonly FrontendKnocked Instance = new();

    private FrontendKnocked()
    {
    }
}

/// <summary>The door went out and could not connect to anybody.</summary>
/// <param name="Result">What connect said.</param>
internal sealed record FrontendAbsent(IoResult Result) : DoorAnswer
{
    /// <summary>True for what is the ordinary case: the front-end has not been started yet, or has ended.</summary>
    internal bool IsOrdinary => Result.Error is Errno.ENOENT or Errno.ECONNREFUSED;
}
