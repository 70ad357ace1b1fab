using Ringmaster.Native.Linux;

namespace Ringmaster.Native.VhostUser;

/// <summary>
/// Puts a message together from whatever pieces the socket gives. Reads first the header with the descriptors that came
/// with it, checks it, then reads exactly the payload: never a byte of the next message.
/// </summary>
internal sealed class MessageReader : IDisposable
{
    private readonly byte[] _headerBytes = new byte[MessageHeader.SizeInBytes];
    private readonly List<OwnedFd> _fds = [];
    private MessageHeader _header;
    private byte[]? _payload;
    private int _filled;

    /// <summary>Reads what is there. Null while the message is not whole and more may come.</summary>
    /// <param name="socket">A non-blocking stream socket.</param>
    internal ConnectionEvent? Read(int socket)
    {
        while (true)
        {
            byte[] target = _payload ?? _headerBytes;
            if (_filled < target.Length)
            {
                Received received = FdPassing.Receive(socket, target.AsSpan(_filled), _fds);
                if (received.Bytes.WouldBlock)
                {
                    return null;
                }

                if (Fault(received) is { } end)
                {
                    Dispose();
                    return end;
                }

                _filled += (int)received.Bytes.Count;
            }

            if (_filled == target.Length && Advance() is { } done)
            {
                return done;
            }
        }
    }

    /// <summary>Closes the descriptors of a message that never became whole.</summary>
    public void Dispose()
    {
        _fds.ForEach(fd => fd.Dispose());
        _fds.Clear();
    }

    /// <summary>Why nothing more can be read, or null.</summary>
    private ConnectionClosed? Fault(Received received)
    {
        bool between = _payload is null && _filled == 0;
        return received switch
        {
            { Bytes.Ok: false } => new ConnectionClosed($"recvmsg: {received.Bytes}"),
            { Bytes.Count: 0 } => new ConnectionClosed(between ? null : "the peer closed in the middle of a message"),
            { ControlTruncated: true } => new ConnectionClosed(
                "descriptors were lost (MSG_CTRUNC): this process may have reached its limit of open files"),
            _ when _fds.Count > MaxFds => new ConnectionClosed($"more than {MaxFds} descriptors came with one message"),
            _ => null,
        };
    }

    private static int MaxFds => VhostUserConnection.MaxFds;

    /// <summary>The header or the payload is whole: goes on to the next part, or hands the message out.</summary>
    private ConnectionEvent? Advance()
    {
        if (_payload is null)
        {
            MessageHeader.TryRead(_headerBytes, out _header);
            if (HeaderError() is { } error)
            {
                Dispose();
                return new ConnectionClosed(error);
            }

            _payload = new byte[_header.Size];
            _filled = 0;
            return null;
        }

        var message = new VhostUserMessage(_header, _payload, [.. _fds]);
        _fds.Clear();
        _payload = null;
        _filled = 0;
        return new MessageReceived(message);
    }

    private string? HeaderError()
    {
        if (!_header.HasKnownVersion)
        {
            uint version = _header.Flags & MessageHeader.VersionMask;
            return $"request {_header.Request} is of version {version}; only {MessageHeader.Version} is known";
        }

        return _header.Size <= MessageHeader.MaxPayload
            ? null
            : $"request {_header.Request} has a payload of {_header.Size} bytes; {MessageHeader.MaxPayload} is the limit";
    }
}
