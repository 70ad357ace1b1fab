using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// Requests by which what the device holds beside its rings is saved and loaded ("Migrating back-end state"). The transfer goes
/// through the front-end's fd and begins after the answer to SET_DEVICE_STATE_FD; CHECK_DEVICE_STATE tells how it ended.
/// </summary>
internal static class DeviceStateRequests
{
    /// <summary>Bit 8 of the answer: no fd comes with it, the front-end's own is used.</summary>
    private const ulong NoFd = 0x100;

    /// <summary>The answer to a SET_DEVICE_STATE_FD that is refused: an error in bits 0 to 7.</summary>
    internal static Reply NoTransfer { get; } = new Reply.Value(new U64Payload(NoFd | 1).ToBytes());

    internal static Outcome SetChannel(SessionState state, VhostUserMessage message)
    {
        if (!DeviceStatePayload.TryRead(message.Payload.Span, out DeviceStatePayload asked))
        {
            throw new InvalidOperationException($"the row of {message} lets a wrong size pass");
        }

        bool saves = asked.Direction == DeviceStatePayload.Save;
        if (!(saves || asked.Direction == DeviceStatePayload.Load) || asked.Phase != DeviceStatePayload.Stopped)
        {
            return Outcome.Refused($"there is no direction {asked.Direction} in phase {asked.Phase}");
        }

        if (state.Rings.Any(ring => ring.Started))
        {
            return Outcome.Refused("a ring is started");
        }

        OwnedFd channel = message.TakeFd(0);
        if (StateChannel.Check(channel, saves) is not { } reason)
        {
            return Outcome.Answered(state with { Transfer = new DeviceStateTransfer(saves, channel) }, NoFd);
        }

        channel.Dispose();
        return Outcome.Refused(reason);
    }

    internal static Outcome Check(SessionState state, VhostUserMessage message) => state.Transfer is null
        ? Outcome.Refused("no transfer was asked for")
        : Outcome.Answered(state with { Transfer = null }, 0) with { Effects = [new EndTransfer()] };
}
