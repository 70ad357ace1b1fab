namespace Ringmaster.Native.VhostUser;

/// <summary>The outcome of one <see cref="VhostUserConnection.ReceiveNext"/>: a message, or the end.</summary>
public abstract record ConnectionEvent
{
    private protected ConnectionEvent()
    {
    }
}

/// <summary>A whole message came. Whoever gets this owns the message.</summary>
/// <param name="Message">Its header is well-formed; payload and descriptors are unchecked.</param>
public sealed record MessageReceived(VhostUserMessage Message) : ConnectionEvent;

/// <summary>Nothing more will come. The socket is still open until the connection is disposed.</summary>
/// <param name="Reason">Null when the peer closed between two messages; else what went wrong.</param>
public sealed record ConnectionClosed(string? Reason) : ConnectionEvent;
