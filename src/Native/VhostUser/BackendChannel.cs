using Ringmaster.Native.Linux;

namespace Ringmaster.Native.VhostUser;

/// <summary>
/// The back-end's end of the socket of SET_BACKEND_REQ_FD: requests go out, and only replies come in. Nothing here blocks;
/// a full socket is told to the caller, who can ask to hear of room.
/// </summary>
public sealed class BackendChannel : IDisposable
{
    private readonly VhostUserConnection _connection;
    private readonly OwnedFd _writer;
    private readonly Readiness _room;

    /// <summary>Takes a socket up.</summary>
    /// <param name="socket">A connected Unix stream socket, from here on owned by the channel.</param>
    /// <param name="loop">Tells when something comes and when there is room.</param>
    /// <param name="onEvent">As for <see cref="VhostUserConnection"/>: once for each <see cref="ReceiveNext"/>.</param>
    /// <param name="onRoom">Called on the loop's thread, once for each <see cref="AwaitRoom"/>. Must not block.</param>
    /// <exception cref="LinuxException">No descriptor is left.</exception>
    public BackendChannel(OwnedFd socket, ReadinessLoop loop, Action<ConnectionEvent> onEvent, Action onRoom)
    {
        _connection = new VhostUserConnection(socket, loop, onEvent);
        try
        {
            // A descriptor can stand in an epoll set only once.
            _writer = socket.Duplicate();
        }
        catch
        {
            _connection.Dispose();
            throw;
        }

        _room = loop.RegisterWritable(_writer, onRoom);
    }

    /// <summary>Asks for one event: the next reply, or the end.</summary>
    public void ReceiveNext() => _connection.ReceiveNext();

    /// <summary>Sends one request whole, or nothing of it.</summary>
    /// <param name="code">The request.</param>
    /// <param name="payload">Its payload.</param>
    /// <param name="needReply">Whether to ask for an answer.</param>
    /// <returns>
    /// EAGAIN: the socket is full, see <see cref="AwaitRoom"/>. Any other error: the channel is of no use any more.
    /// </returns>
    public IoResult Send(BackendRequestCode code, ReadOnlySpan<byte> payload, bool needReply) =>
        _connection.SendRequest((uint)code, payload, needReply: needReply);

    /// <summary>Asks to be told once when the socket takes more.</summary>
    public void AwaitRoom() => _room.Arm();

    /// <summary>Closes the socket.</summary>
    public void Dispose()
    {
        _room.Dispose();
        _writer.Dispose();
        _connection.Dispose();
    }
}
