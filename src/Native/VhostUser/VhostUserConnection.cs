using Ringmaster.Native.Linux;

namespace Ringmaster.Native.VhostUser;

/// <summary>
/// One end of a vhost-user session: turns a stream socket into messages, on demand. Serves back-end and front-end.
/// </summary>
/// <remarks>
/// The peer is hostile: whatever it sends ends in a message or in <see cref="ConnectionClosed"/>, and every
/// descriptor that it sends has an owner at once. Nothing is read that was not asked for, so a peer that floods the
/// socket blocks itself. Sending and receiving may go on in two threads; two threads must not send at once.
/// </remarks>
public sealed class VhostUserConnection : IDisposable
{
    /// <summary>The most descriptors taken with one message: those of a memory table of the greatest size.</summary>
    public const int MaxFds = MemTable.MaxRegions;

    private readonly Lock _gate = new();
    private readonly OwnedFd _socket;
    private readonly Readiness _readiness;
    private readonly Action<ConnectionEvent> _onEvent;
    private readonly MessageReader _reader = new();
    private bool _receiving;
    private bool _ended;
    private bool _disposed;

    /// <summary>Wraps a connected socket.</summary>
    /// <param name="socket">From here on owned by the connection. Made non-blocking.</param>
    /// <param name="loop">Tells when there is something to receive.</param>
    /// <param name="onEvent">
    /// Called on the loop's thread, once for each <see cref="ReceiveNext"/>. Must not block. One that was under way when
    /// the connection was disposed may still come.
    /// </param>
    public VhostUserConnection(OwnedFd socket, ReadinessLoop loop, Action<ConnectionEvent> onEvent)
    {
        using (FdLease lease = socket.Lease())
        {
            Sys.SetNonBlocking(lease.Number, on: true).OrThrow("fcntl(F_SETFL)");
        }

        _socket = socket;
        _onEvent = onEvent;
        _readiness = loop.Register(socket, OnReadable);
    }

    /// <summary>
    /// Asks for one event. Nothing comes after <see cref="ConnectionClosed"/> or <see cref="Dispose"/>.
    /// </summary>
    /// <exception cref="InvalidOperationException">The last one asked for has not come yet.</exception>
    public void ReceiveNext()
    {
        lock (_gate)
        {
            if (_ended || _disposed)
            {
                return;
            }

            if (_receiving)
            {
                throw new InvalidOperationException("a receive is under way");
            }

            _receiving = true;
            _readiness.Arm();
        }
    }

    /// <summary>Sends a reply. Never blocks.</summary>
    /// <param name="request">The request's number.</param>
    /// <param name="payload">What it says.</param>
    /// <param name="fd">Goes along; stays the caller's.</param>
    /// <returns>An error means that the peer is gone or does not read: nothing more can be sent, close.</returns>
    public IoResult SendReply(uint request, ReadOnlySpan<byte> payload, OwnedFd? fd = null) =>
        Send(request, MessageHeader.ReplyFlag, payload, fd is null ? [] : [fd]);

    /// <summary>Sends a request. Never blocks.</summary>
    /// <param name="request">The request's number.</param>
    /// <param name="payload">What it says.</param>
    /// <param name="fds">Go along; stay the caller's.</param>
    /// <param name="needReply">Sets need_reply.</param>
    /// <returns>
    /// EAGAIN: the socket is full and nothing was sent. Any other error: nothing more can be sent, close.
    /// </returns>
    public IoResult SendRequest(
        uint request,
        ReadOnlySpan<byte> payload,
        ReadOnlySpan<OwnedFd> fds = default,
        bool needReply = false) =>
        Send(request, needReply ? MessageHeader.NeedReplyFlag : 0, payload, fds);

    /// <summary>True when the peer has closed its end, whatever of it may still be unread.</summary>
    public bool PeerIsGone => _socket.IsClosed || UnixSocket.PeerIsGone(_socket);

    /// <summary>The same as <see cref="Dispose"/>, and the peer sees the end also where the socket is open elsewhere.</summary>
    public void HangUp() => Close(hangsUp: true);

    /// <summary>Closes the socket and whatever descriptors came with half a message.</summary>
    public void Dispose() => Close(hangsUp: false);

    private void Close(bool hangsUp)
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            _reader.Dispose();
        }

        _readiness.Dispose();
        if (hangsUp)
        {
            // It fails only where the peer has gone already.
            UnixSocket.Shutdown(_socket);
        }

        _socket.Dispose();
    }

    private void OnReadable()
    {
        ConnectionEvent? outcome;
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            outcome = ReadOne();
            if (outcome is null)
            {
                _readiness.Arm();
                return;
            }

            _receiving = false;
            _ended = outcome is ConnectionClosed;
        }

        _onEvent(outcome);
    }

    /// <summary>Reads on; null while the message is not whole.</summary>
    private ConnectionEvent? ReadOne()
    {
        using FdLease lease = _socket.Lease();
        return _reader.Read(lease.Number);
    }

    private IoResult Send(uint request, uint flags, ReadOnlySpan<byte> payload, ReadOnlySpan<OwnedFd> fds)
    {
        byte[] bytes = new byte[MessageHeader.SizeInBytes + payload.Length];
        new MessageHeader(request, MessageHeader.Version | flags, (uint)payload.Length).Write(bytes);
        payload.CopyTo(bytes.AsSpan(MessageHeader.SizeInBytes));

        if (_socket.IsClosed)
        {
            return new IoResult(-Errno.EBADF);
        }

        var leases = new FdLease[fds.Length];
        Span<int> numbers = stackalloc int[FdPassing.MaxPerMessage];
        try
        {
            for (int i = 0; i < fds.Length; i++)
            {
                leases[i] = fds[i].Lease();
                numbers[i] = leases[i].Number;
            }

            using FdLease socket = _socket.Lease();
            IoResult result = FdPassing.Send(socket.Number, bytes, numbers[..fds.Length]);

            // Part of a message cannot be taken back, and the rest cannot be sent without waiting.
            return result.Ok && result.Count < bytes.Length ? new IoResult(-Errno.EMSGSIZE) : result;
        }
        finally
        {
            foreach (FdLease? lease in leases)
            {
                lease?.Dispose();
            }
        }
    }
}
