using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// The vhost-user session as a pure state machine: (state, message) to (state, reply, effects). No I/O, no actor, no
/// clock. What each request asks for stands in its row of <see cref="RequestTable"/>.
/// <list type="bullet">
/// <item>A refused message changes nothing (but FEATURES_OK, which a refused SET_FEATURES takes away) and does not end the
/// session (but for <see cref="Reply.Hangup"/>).</item>
/// <item>After <see cref="Step"/> every fd of the message is in the new state, in an effect, or closed.</item>
/// <item>Who is told of a refusal: see <see cref="Refuse"/>.</item>
/// </list>
/// </summary>
public static class VhostUserSession
{
    /// <summary>The device features that are implemented; more is never offered.</summary>
    public const VirtioFeatures SupportedFeatures =
        VirtioFeatures.Version1 | VirtioFeatures.ProtocolFeatures
        | VirtioFeatures.IndirectDesc | VirtioFeatures.EventIdx | VirtioFeatures.AnyLayout
        | VirtioFeatures.RingPacked | VirtioFeatures.InOrder | VirtioFeatures.MrgRxbuf
        | VirtioFeatures.Csum | VirtioFeatures.HostTso4 | VirtioFeatures.HostTso6 | VirtioFeatures.HostEcn
        | VirtioFeatures.HostUfo | VirtioFeatures.HostUso
        | VirtioFeatures.GuestCsum | VirtioFeatures.GuestTso4 | VirtioFeatures.GuestTso6 | VirtioFeatures.GuestEcn
        | VirtioFeatures.GuestUfo | VirtioFeatures.GuestUso4 | VirtioFeatures.GuestUso6
        | VirtioFeatures.Mac | VirtioFeatures.Mtu | VirtioFeatures.Mq | VirtioFeatures.CtrlVq
        | VirtioFeatures.Status | VirtioFeatures.GuestAnnounce | VirtioFeatures.LogAll
        | VirtioFeatures.NotificationData | VirtioFeatures.RingReset | VirtioFeatures.AccessPlatform;

    /// <summary>The protocol features that are implemented; more is never offered.</summary>
    public const ProtocolFeatures SupportedProtocolFeatures =
        ProtocolFeatures.Mq | ProtocolFeatures.LogShmfd | ProtocolFeatures.ReplyAck | ProtocolFeatures.Rarp | ProtocolFeatures.Mtu
        | ProtocolFeatures.Config | ProtocolFeatures.ConfigureMemSlots | ProtocolFeatures.Status
        | ProtocolFeatures.ResetDevice | ProtocolFeatures.BackendReq | ProtocolFeatures.BackendSendFd
        | ProtocolFeatures.InbandNotifications | ProtocolFeatures.InflightShmfd | ProtocolFeatures.GpaAddresses
        | ProtocolFeatures.Pagefault | ProtocolFeatures.GetVringBaseInflight
        | ProtocolFeatures.DeviceState;

    /// <summary>Memory regions that a session can have.</summary>
    public const int MaxMemorySlots = 509;

    /// <summary>The state of a new connection.</summary>
    public static SessionState Begin(DeviceProfile profile) => new(profile);

    /// <summary>Answers one message. Disposes it.</summary>
    /// <param name="state">The state so far; it stays valid.</param>
    /// <param name="message">What the front-end sent.</param>
    public static SessionStep Step(SessionState state, VhostUserMessage message)
    {
        using (message)
        {
            Outcome outcome = PostcopyRequests.IsAcknowledgement(state, message)
                ? PostcopyRequests.Acknowledge(state, message)
                : Check(state, message) is { } reason
                    ? Outcome.Refused(reason)
                    : RequestTable.Find(message.Request)!.Handle(state, message);

            return outcome.Refusal is null
                ? new SessionStep(outcome.Next!, outcome.Answer ?? AckFor(outcome.Next!, message), outcome.Effects, null)
                : Refuse(outcome.Next ?? state, message, outcome.Refusal);
        }
    }

    /// <summary>
    /// The step of a message that is refused: also the one to take instead of <see cref="Step"/>'s when an effect failed.
    /// Who waits is told, nobody else: with NEED_REPLY and REPLY_ACK a u64 that is not 0; else, where the request has a
    /// reply of its own, that reply without content, which makes QEMU and DPDK give up instead of waiting for ever;
    /// else nothing. Some have a failure of their own: GET_CONFIG the piece asked for, of 0 bytes,
    /// SET_DEVICE_STATE_FD and CHECK_DEVICE_STATE a u64 that is not 0. SET_LOG_BASE ends the session where it is not
    /// acknowledged: QEMU looks at no reply to it, and would take memory along whose changes were not marked.
    /// </summary>
    /// <param name="state">The state that stays.</param>
    /// <param name="message">The refused message; it may be disposed already.</param>
    /// <param name="reason">For the log.</param>
    public static SessionStep Refuse(SessionState state, VhostUserMessage message, string reason) =>
        new(state, RefusalOf(state, message), [], $"{RequestTable.NameOf(message.Request)} refused: {reason}");

    private static string? Check(SessionState state, VhostUserMessage message)
    {
        if (message.IsReply)
        {
            return "it is a reply, and nothing was asked";
        }

        return RequestTable.Find(message.Request) is { } row ? row.Check(state, message) : "it is not supported";
    }

    private static Reply AckFor(SessionState state, VhostUserMessage message) =>
        message.NeedReply && state.Has(ProtocolFeatures.ReplyAck) ? Reply.Ack : Reply.None;

    private static Reply RefusalOf(SessionState state, VhostUserMessage message)
    {
        if (message.IsReply)
        {
            return Reply.None;
        }

        RequestRow? row = RequestTable.Find(message.Request);
        if (row?.OwnFailure is { } failure)
        {
            return failure;
        }

        if (message.NeedReply && state.Has(ProtocolFeatures.ReplyAck))
        {
            return Reply.Failure;
        }

        return row?.IsAwaited(state) == true ? row.ForLackOfReply : Reply.None;
    }
}
