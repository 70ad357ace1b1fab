using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// Requests by which a guest moves to another machine. What is marked follows from SET_FEATURES (LOG_ALL: what is written to
/// buffers) and SET_VRING_ADDR (VHOST_VRING_F_LOG: what is written to the ring); here it is said where.
/// </summary>
internal static class MigrationRequests
{
    /// <summary>
    /// Another log takes the place of the last one; answered when no worker can write to that any more. QEMU takes any reply of
    /// its own kind, even one without content, cloud-hypervisor a u64: see <see cref="VhostUserSession.Refuse"/>.
    /// </summary>
    internal static Outcome SetLogBase(SessionState state, VhostUserMessage message)
    {
        bool whole = LogPayload.TryRead(message.Payload.Span, out LogPayload log);
        return whole
            ? Outcome.Answered(state, 0) with { Effects = [new MapLog(log.Size, log.MmapOffset, message.TakeFd(0))] }
            : throw new InvalidOperationException($"the row of {message} lets a wrong size pass");
    }

    internal static Outcome SetLogFd(SessionState state, VhostUserMessage message)
    {
        OwnedFd fd = message.TakeFd(0);
        if (NotificationFd.Check(fd) is not { } reason)
        {
            return Outcome.Done(state with { LogCall = fd });
        }

        fd.Dispose();
        return Outcome.Refused(reason);
    }
}
