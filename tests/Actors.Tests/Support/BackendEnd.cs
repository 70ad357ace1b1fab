using System.Threading.Channels;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Tests.Support;

/// <summary>The front-end's end of the channel for requests by the back-end. Nothing is read that is not asked for.</summary>
internal sealed class BackendEnd : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly Channel<ConnectionEvent> _events = Channel.CreateUnbounded<ConnectionEvent>();
    private readonly VhostUserConnection _connection;
    private readonly OwnedFd _socket;

    internal BackendEnd(OwnedFd socket, ReadinessLoop loop)
    {
        _socket = socket;
        _connection = new VhostUserConnection(socket, loop, e => _events.Writer.TryWrite(e));
    }

    /// <summary>How many requests without a payload the socket of a channel takes before somebody reads.</summary>
    internal static int RequestsThatFit()
    {
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        using OwnedFd reader = theirs;
        using var loop = new ReadinessLoop("unused");
        using var writer = new VhostUserConnection(ours, loop, _ => { });
        int count = 0;
        while (writer.SendRequest((uint)BackendRequestCode.ConfigChangeMsg, []).Ok)
        {
            count++;
        }

        return count;
    }

    /// <summary>Waits for the next request.</summary>
    internal async Task<VhostUserMessage> NextAsync()
    {
        _connection.ReceiveNext();
        using var limit = new CancellationTokenSource(Patience);
        VhostUserMessage message = Assert.IsType<MessageReceived>(await _events.Reader.ReadAsync(limit.Token)).Message;
        Assert.Equal((false, 0), (message.IsReply, message.FdCount));
        return message;
    }

    /// <summary>Waits for the next request, which must be this one, and answers it.</summary>
    internal async Task<VhostUserMessage> AnswerAsync(BackendRequestCode code, ulong answer = 0)
    {
        VhostUserMessage message = await NextAsync();
        Assert.Equal((uint)code, message.Request);
        Assert.True(message.NeedReply);
        Answer(code, FrontEnd.U64(answer));
        return message;
    }

    internal void Answer(BackendRequestCode code, byte[] payload, params OwnedFd[] fds) =>
        _connection.SendReply((uint)code, payload, fds.FirstOrDefault()).OrThrow("answer");

    internal void Request(uint number) => _connection.SendRequest(number, []).OrThrow("request");

    internal void SendRaw(byte[] bytes)
    {
        using OwnedFd duplicate = _socket.Duplicate();
        using var handle = new Microsoft.Win32.SafeHandles.SafeFileHandle(duplicate.DangerousGetHandle(), ownsHandle: false);
        using var stream = new FileStream(handle, FileAccess.Write, bufferSize: 0);
        stream.Write(bytes);
    }

    /// <summary>Waits until the back-end closes the channel; what it has sent before is passed over.</summary>
    internal async Task ClosedAsync()
    {
        using var limit = new CancellationTokenSource(Patience);
        while (true)
        {
            _connection.ReceiveNext();
            ConnectionEvent next = await _events.Reader.ReadAsync(limit.Token);
            if (next is ConnectionClosed)
            {
                return;
            }
        }
    }

    public void Dispose() => _connection.Dispose();
}
