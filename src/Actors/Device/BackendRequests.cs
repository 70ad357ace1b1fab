using Akka.Actor;
using Akka.Event;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Device;

/// <summary>
/// The requests of one session by the back-end: what waits to be sent over the socket of SET_BACKEND_REQ_FD, what has been sent
/// and is not answered yet. Part of the device's supervisor, used by its actor alone.
/// </summary>
/// <remarks>
/// <list type="bullet">
/// <item>Nothing blocks. What the socket does not take, and what is more than <see cref="Window"/> requests ahead of the
/// answers, waits here; equal requests wait once, so that a front-end that does not read costs a bounded amount.</item>
/// <item>With REPLY_ACK each request asks for an answer. Answers come in the order of the requests; any of them says that the
/// front-end has dealt with the request, whether it could use it (0) or not.</item>
/// <item>A channel whose front-end closes it, sends anything but the next answer, or owes one for <see cref="Patience"/>, is
/// dropped for good. The session lives on without it.</item>
/// </list>
/// </remarks>
internal sealed class BackendRequests : IDisposable
{
    /// <summary>How many requests may be unanswered. Their bytes always fit into a socket of ordinary size.</summary>
    internal const int Window = 32;

    /// <summary>How long an answer may take: a front-end may stand still for a while, as under a debugger.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Context _context;
    private readonly BackendChannel _channel;
    private readonly Queue<BackendRequest> _waiting = new();
    private readonly Queue<BackendRequest> _sent = new();
    private readonly BackendReplyOverdue _overdue;
    private bool _full;
    private bool _dropped;

    /// <summary>Takes a channel up.</summary>
    /// <param name="socket">From SET_BACKEND_REQ_FD; closed with this.</param>
    /// <param name="context">What it works with.</param>
    /// <exception cref="LinuxException">No descriptor is left, or the socket cannot be watched.</exception>
    internal BackendRequests(OwnedFd socket, Context context)
    {
        _context = context;
        _overdue = new BackendReplyOverdue(this);
        IActorRef self = context.Self;
        _channel = new BackendChannel(
            socket,
            context.Loop,
            e => self.Tell(new BackendChannelEvent(this, e)),
            () => self.Tell(new BackendChannelRoom(this)));
        try
        {
            _channel.ReceiveNext();
        }
        catch
        {
            _channel.Dispose();
            throw;
        }
    }

    /// <summary>Sends a request as soon as that is possible. Lost when the channel has been dropped.</summary>
    internal void Post(BackendRequest request)
    {
        bool asked = request.Missing is not null && _sent.Contains(request);
        if (!_dropped && !asked && !_waiting.Contains(request))
        {
            _waiting.Enqueue(request);
            SendWaiting();
        }
    }

    /// <summary>Something came from the front-end: the next answer, or the end of the channel.</summary>
    internal void OnEvent(ConnectionEvent received)
    {
        if (received is MessageReceived { Message: { } message })
        {
            using (message)
            {
                if (!_dropped)
                {
                    OnMessage(message);
                }
            }
        }
        else if (received is ConnectionClosed closed)
        {
            Drop(closed.Reason ?? "the front-end closed it");
        }
    }

    /// <summary>The socket takes more.</summary>
    internal void OnRoom()
    {
        _full = false;
        SendWaiting();
    }

    /// <summary>The oldest answer is overdue.</summary>
    internal void OnOverdue()
    {
        if (_sent.TryPeek(out BackendRequest oldest))
        {
            Drop($"{oldest} was not answered for {Patience.TotalSeconds} s");
        }
    }

    /// <summary>Closes the channel.</summary>
    public void Dispose()
    {
        _dropped = true;
        _waiting.Clear();
        _sent.Clear();
        _context.Timers.Cancel(_overdue);
        _channel.Dispose();
    }

    private void OnMessage(VhostUserMessage message)
    {
        bool awaited = _sent.TryPeek(out BackendRequest oldest) && message.IsReply && message.Request == (uint)oldest.Code;
        if (!awaited || message.FdCount != 0 || !U64Payload.TryRead(message.Payload.Span, out U64Payload answer))
        {
            Drop($"the front-end sent what is no answer: request {message.Request}, {message.Payload.Length} bytes");
            return;
        }

        _sent.Dequeue();
        if (answer.Value != 0)
        {
            _context.Log.Debug(
                "device {Device}: the front-end answers {Request} with {Answer}",
                _context.Device, oldest, answer.Value);
        }

        AwaitAnswer();
        _channel.ReceiveNext();
        SendWaiting();
        if (answer.Value != 0 && oldest.Missing is not null)
        {
            _context.OnMissRefused();
        }
    }

    private void SendWaiting()
    {
        while (!_dropped && !_full && _sent.Count < Window && _waiting.TryPeek(out BackendRequest request))
        {
            bool needReply = _context.Acknowledges();
            IoResult sent = _channel.Send(request.Code, request.ToPayload(), needReply);
            if (sent.WouldBlock)
            {
                _full = true;
                _channel.AwaitRoom();
            }
            else if (!sent.Ok)
            {
                Drop($"{request} could not be sent: {sent}");
            }
            else
            {
                OnSent(_waiting.Dequeue(), needReply);
            }
        }
    }

    private void OnSent(BackendRequest request, bool needReply)
    {
        _context.Log.Debug("device {Device}: sent {Request}", _context.Device, request);
        if (needReply)
        {
            _sent.Enqueue(request);
            if (_sent.Count == 1)
            {
                AwaitAnswer();
            }
        }
    }

    private void AwaitAnswer()
    {
        if (_sent.Count > 0)
        {
            _context.Timers.StartSingleTimer(_overdue, _overdue, Patience);
        }
        else
        {
            _context.Timers.Cancel(_overdue);
        }
    }

    private void Drop(string reason)
    {
        if (!_dropped)
        {
            _context.Log.Warning(
                "device {Device}: the channel for requests by the back-end is dropped: {Reason}",
                _context.Device, reason);
            Dispose();
        }
    }

    /// <summary>What a channel works with.</summary>
    /// <param name="Device">For the log.</param>
    /// <param name="Self">The supervisor, which hands back what it is told of the channel.</param>
    /// <param name="Timers">The supervisor's.</param>
    /// <param name="Loop">Tells when the socket can be used.</param>
    /// <param name="Log">The supervisor's.</param>
    /// <param name="Acknowledges">Whether the front-end answers at this moment: REPLY_ACK.</param>
    /// <param name="OnMissRefused">Called when the front-end has no translation for what was asked.</param>
    internal sealed record Context(
        string Device,
        IActorRef Self,
        ITimerScheduler Timers,
        ReadinessLoop Loop,
        ILoggingAdapter Log,
        Func<bool> Acknowledges,
        Action OnMissRefused);
}

/// <summary>Something came over a channel.</summary>
internal sealed record BackendChannelEvent(BackendRequests Channel, ConnectionEvent Event);

/// <summary>A channel's socket takes more.</summary>
internal sealed record BackendChannelRoom(BackendRequests Channel);

/// <summary>An answer over a channel is overdue.</summary>
internal sealed record BackendReplyOverdue(BackendRequests Channel);
