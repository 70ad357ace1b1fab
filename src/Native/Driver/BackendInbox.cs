using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Driver;

/// <summary>The front-end's end of the channel of SET_BACKEND_REQ_FD. Blocks; one thread at a time.</summary>
public sealed class BackendInbox : IDisposable
{
    private const uint NeedReplyFlag = 1 << 3;
    private readonly FrontendClient _wire;

    internal BackendInbox(OwnedFd socket) => _wire = new FrontendClient(socket);

    /// <summary>Readable when there is a request.</summary>
    internal OwnedFd Fd => _wire.Socket;

    /// <summary>Waits for the next request by the back-end.</summary>
    /// <param name="timeout">How long.</param>
    /// <returns>The request; null when none came in time.</returns>
    /// <exception cref="FrontendException">The back-end has closed the channel.</exception>
    public FrontendReply? TryReceive(TimeSpan timeout) => _wire.AwaitInput(timeout) ? _wire.Receive() : null;

    /// <summary>Waits for the next request, which must be this one, and answers it where an answer is wanted.</summary>
    /// <param name="code">The request.</param>
    /// <param name="answer">What to answer; 0 = done.</param>
    /// <returns>The request's payload.</returns>
    /// <exception cref="FrontendException">Another came, or none within 5 s.</exception>
    public byte[] Expect(BackendRequestCode code, ulong answer = 0)
    {
        using FrontendReply request = _wire.Receive();
        if (request.Request != (uint)code)
        {
            throw new FrontendException($"The back-end sent request {request.Request} instead of {code}.");
        }

        Answer(request, answer);
        return request.Payload;
    }

    /// <summary>Answers a request, where an answer is wanted.</summary>
    /// <param name="request">The request.</param>
    /// <param name="answer">0 = done.</param>
    public void Answer(FrontendReply request, ulong answer = 0)
    {
        if ((request.Flags & NeedReplyFlag) != 0)
        {
            _wire.SendReply(request.Request, FrontendClient.Number(answer));
        }
    }

    /// <summary>Sends bytes as they are.</summary>
    public void SendRaw(ReadOnlySpan<byte> bytes) => _wire.SendRaw(bytes);

    /// <summary>Waits until the back-end closes the channel.</summary>
    /// <returns>False when it is still open after that time.</returns>
    public bool WaitForClose(TimeSpan timeout) => _wire.WaitForClose(timeout);

    /// <inheritdoc/>
    public void Dispose() => _wire.Dispose();
}
