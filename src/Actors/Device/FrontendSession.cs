using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Device;

/// <summary>
/// One connected front-end: its connection, what it has settled, its memory, and the message under way. Part of the device's
/// supervisor and used by its actor alone, but for <see cref="PendingStep.Map"/> and the last <see cref="Dispose"/>.
/// </summary>
/// <remarks>
/// A message goes Begin -> (map, away from the actor) -> Commit -> (workers acknowledge) -> Finish, or to Refuse from either
/// of the first two. Ownership: the session owns the fds of its state and one reference to its memory; between Commit and
/// Finish it owns those of the old state as well, for workers may still use them.
/// </remarks>
internal sealed class FrontendSession : IDisposable
{
    private readonly VhostUserConnection _connection;

    private FrontendSession(long number, SessionState state, VhostUserConnection connection)
    {
        Number = number;
        State = state;
        _connection = connection;
    }

    /// <summary>Counts the device's sessions, so that a late event of an old one is known.</summary>
    internal long Number { get; }

    internal SessionState State { get; private set; }

    /// <summary>What is mapped; the session holds one reference to each.</summary>
    internal GuestMaps Maps { get; private set; } = GuestMaps.None;

    /// <summary>The message under way, or null.</summary>
    internal PendingStep? Step { get; private set; }

    /// <summary>The front-end has gone: no ring may run and no memory be used any more.</summary>
    internal bool Ended { get; private set; }

    /// <summary>Kicks and calls as messages; null where nobody wants them.</summary>
    internal InbandNotifications? Inband { get; set; }

    /// <summary>The transfer of the device's state that was last asked for, or null.</summary>
    internal StateTransfer? Transfer { get; set; }

    /// <summary>The device's state that this front-end loaded says that the link is held down.</summary>
    internal bool LinkHeldDown { get; set; }

    /// <summary>What a ring is to run with, or null.</summary>
    internal RingPlan? PlanOf(int ring) => State.PlanOf(ring) is { } plan ? Inband?.Complete(State, ring, plan) ?? plan : null;

    /// <summary>Takes over a connected socket, also when it throws; nothing is received yet.</summary>
    /// <exception cref="LinuxException">It is no socket.</exception>
    internal static FrontendSession Open(
        long number,
        SessionState state,
        OwnedFd socket,
        ReadinessLoop loop,
        Action<ConnectionEvent> onEvent)
    {
        try
        {
            return new FrontendSession(number, state, new VhostUserConnection(socket, loop, onEvent));
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Asks for one message. Nothing is read before: that is what holds a busy front-end back.</summary>
    internal void ReceiveNext() => _connection.ReceiveNext();

    internal PendingStep Begin(VhostUserMessage message)
    {
        Step = new PendingStep(State, Maps, message);
        return Step;
    }

    /// <summary>Changes what is known of the rings from the workers' side, also for the message under way.</summary>
    internal void Amend(Func<SessionState, SessionState> change)
    {
        State = change(State);
        if (Step is { Committed: false } step)
        {
            step.Next = change(step.Next);
        }
    }

    /// <summary>Makes the step's state and memory the session's.</summary>
    /// <param name="maps">What <see cref="PendingStep.Map"/> gave.</param>
    internal void Commit(GuestMaps maps)
    {
        PendingStep step = Step!;
        step.Committed = true;
        State = step.Next with { MappedAt = maps.Memory.FaultBases };
        Maps = maps;
    }

    /// <summary>Lets go of what only the old state had, sends the reply, and begins the transfer that it has promised.</summary>
    internal IoResult Finish()
    {
        PendingStep step = TakeStep();
        step.CloseWhatIsNotIn(State, Maps);
        IoResult sent = Send(step.Message, step.Reply);
        if (sent.Ok)
        {
            Transfer?.Start();
        }

        return sent;
    }

    /// <summary>Lets go of what only the new state would have had and sends the refusal's reply.</summary>
    internal IoResult Refuse(SessionStep refusal)
    {
        PendingStep step = TakeStep();
        step.CloseWhatWasNotTaken(State);
        State = refusal.Next;
        return Send(step.Message, refusal.Reply);
    }

    /// <summary>
    /// True while workers may still have to wait for pages of guest memory. While they do nobody reads the connection; when the
    /// front-end has gone meanwhile, who might keep its userfaultfd open must not matter, and they are let go.
    /// </summary>
    internal bool AwaitsPages()
    {
        if (!Maps.Memory.AwaitsPages || Maps.Faults is not { IsDisarmed: false } faults)
        {
            return false;
        }

        if (_connection.PeerIsGone)
        {
            faults.Disarm();
        }

        return true;
    }

    /// <summary>
    /// Cuts the front-end off, which must see that also where its connection was inherited and stays open here. fds and memory
    /// stay until the workers have let go of them.
    /// </summary>
    internal void End()
    {
        Ended = true;
        Maps.Faults?.Disarm(); // nobody brings pages any more, so no worker may wait for one
        Transfer?.Cancel();
        _connection.HangUp();
    }

    /// <summary>Releases everything.</summary>
    public void Dispose()
    {
        End();
        if (Step is { } step)
        {
            Step = null;
            if (step.Committed)
            {
                step.CloseWhatIsNotIn(State, Maps);
            }
            else
            {
                step.CloseWhatWasNotTaken(State);
            }
        }

        foreach (OwnedFd fd in State.Fds)
        {
            fd.Dispose();
        }

        Inband?.Dispose();
        Maps.ReleaseAllBut(GuestMaps.None);
        Maps = GuestMaps.None;
    }

    private PendingStep TakeStep()
    {
        PendingStep step = Step ?? throw new InvalidOperationException("no message is under way");
        Step = null;
        return step;
    }

    private IoResult Send(VhostUserMessage message, Reply reply) =>
        reply.ToPayload(State) is { } payload
            ? _connection.SendReply(message.Request, payload.Span, FileOf(reply))
            : new IoResult(0);

    private OwnedFd? FileOf(Reply reply) => reply switch
    {
        Reply.InflightFile => Maps.Inflight?.File,
        { HasFaultFile: true } => Maps.Faults?.Fd,
        _ => null,
    };
}
