using Ringmaster.Native.Linux;

namespace Ringmaster.Native.VhostUser;

/// <summary>
/// A received message: header, payload and the descriptors that came with it. It owns the descriptors until they are
/// taken; disposing closes the rest. Used by one thread at a time.
/// </summary>
public sealed class VhostUserMessage : IDisposable
{
    private readonly OwnedFd?[] _fds;

    internal VhostUserMessage(MessageHeader header, ReadOnlyMemory<byte> payload, OwnedFd[] fds)
    {
        Header = header;
        Payload = payload;
        _fds = fds;
    }

    /// <summary>The header as it came.</summary>
    public MessageHeader Header { get; }

    /// <summary>The request's number; may be one that nobody knows.</summary>
    public uint Request => Header.Request;

    /// <summary>The request's number as a front-end request.</summary>
    public RequestCode Code => (RequestCode)Header.Request;

    /// <summary>The sender wants a reply even where the request has none of its own.</summary>
    public bool NeedReply => Header.NeedReply;

    /// <summary>The message answers another one.</summary>
    public bool IsReply => Header.IsReply;

    /// <summary>What follows the header. Unchecked.</summary>
    public ReadOnlyMemory<byte> Payload { get; }

    /// <summary>How many descriptors came with the message, taken or not.</summary>
    public int FdCount => _fds.Length;

    /// <summary>
    /// A message as if it had been received.
    /// </summary>
    /// <param name="code">The request.</param>
    /// <param name="payload">The payload.</param>
    /// <param name="fds">From here on owned by the message.</param>
    /// <param name="needReply">Sets need_reply.</param>
    public static VhostUserMessage Create(
        RequestCode code,
        ReadOnlyMemory<byte> payload = default,
        IEnumerable<OwnedFd>? fds = null,
        bool needReply = false)
    {
        uint flags = MessageHeader.Version | (needReply ? MessageHeader.NeedReplyFlag : 0);
        return new VhostUserMessage(new MessageHeader((uint)code, flags, (uint)payload.Length), payload, [.. fds ?? []]);
    }

    /// <summary>Hands one descriptor to the caller, who owns it from here on.</summary>
    /// <param name="index">0 to <see cref="FdCount"/> - 1, in the order sent.</param>
    /// <exception cref="InvalidOperationException">It was taken before, or the message is disposed.</exception>
    public OwnedFd TakeFd(int index)
    {
        OwnedFd fd = _fds[index] ?? throw new InvalidOperationException($"descriptor {index} of {this} is gone");
        _fds[index] = null;
        return fd;
    }

    /// <summary>Closes the descriptors that nobody took.</summary>
    public void Dispose()
    {
        for (int i = 0; i < _fds.Length; i++)
        {
            _fds[i]?.Dispose();
            _fds[i] = null;
        }
    }

    /// <summary>For example <c>SetMemTable, 72 bytes, 2 fds</c>.</summary>
    public override string ToString() => $"{Code}, {Payload.Length} bytes, {FdCount} fds";
}
