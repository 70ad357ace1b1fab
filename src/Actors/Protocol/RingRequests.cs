using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// Requests about one ring. Size, alignment and form are checked where they are said. Whether the three parts fit their
/// size and each other is checked by the message that says the addresses, when the size is known; else by the one that
/// starts the ring; and by each message that changes a started ring. As in the kernel's vhost, a size alone is not held
/// against addresses of a ring that stands still: they may be those of an earlier run.
/// </summary>
internal static class RingRequests
{
    internal static Outcome SetNum(SessionState state, VhostUserMessage message)
    {
        VringState payload = ReadState(message);
        if (CheckIndex(state, payload.Index) is { } unknown)
        {
            return Outcome.Refused(unknown);
        }

        var ring = (int)payload.Index;
        if (RingLayout.CheckSize(payload.Num, state.Profile.MaxQueueSize, state.Features) is { } reason)
        {
            return Outcome.Refused(reason);
        }

        var size = (int)payload.Num;
        return Runs(state, ring) && state.Rings[ring].Size != size
            ? Outcome.Refused($"ring {ring} runs with {state.Rings[ring].Size} descriptors")
            : Change(state, ring, state.Rings[ring] with { Size = size, SizedSinceStop = true });
    }

    /// <summary>Comes for a running ring too, to switch the log of its used ring: the plan changes, the indices do not.</summary>
    internal static Outcome SetAddresses(SessionState state, VhostUserMessage message)
    {
        if (!VringAddresses.TryRead(message.Payload.Span, out VringAddresses addresses))
        {
            throw WrongSize(message);
        }

        if (CheckIndex(state, addresses.Index) is { } unknown)
        {
            return Outcome.Refused(unknown);
        }

        var ring = (int)addresses.Index;
        string? reason = CheckFlags(state, addresses.Flags) ?? RingLayout.CheckAlignment(addresses, state.Features);
        if (reason is null && state.Rings[ring] is { SizedSinceStop: true, Size: { } size })
        {
            reason = RingLayout.Check(size, addresses, state.Features);
        }

        return reason is null
            ? Change(state, ring, state.Rings[ring] with { Addresses = addresses })
            : Outcome.Refused(reason);
    }

    /// <summary>
    /// A split ring's index has 16 bits; a packed ring's word has both positions and both wrap counters.
    /// </summary>
    internal static Outcome SetBase(SessionState state, VhostUserMessage message)
    {
        VringState payload = ReadState(message);
        if (CheckIndex(state, payload.Index) is { } unknown)
        {
            return Outcome.Refused(unknown);
        }

        var ring = (int)payload.Index;
        if (payload.Num > ushort.MaxValue && !state.Features.HasFlag(VirtioFeatures.RingPacked))
        {
            return Outcome.Refused($"the index of a split ring has 16 bits, not 0x{payload.Num:x}");
        }

        return Runs(state, ring) && state.BaseOf(ring) != payload.Num
            ? Outcome.Refused($"ring {ring} runs")
            : Outcome.Done(state.WithRingBase(ring, payload.Num));
    }

    /// <summary>Stops the ring; the base in the answer is the worker's where the ring ran.</summary>
    internal static Outcome GetBase(SessionState state, VhostUserMessage message)
    {
        VringState payload = ReadState(message);
        if (CheckIndex(state, payload.Index) is { } unknown)
        {
            return Outcome.Refused(unknown);
        }

        var ring = (int)payload.Index;
        return Outcome.Answered(
            state.WithRing(ring, state.Rings[ring].Stop(state.RingsStartEnabled)),
            new Reply.RingBase(ring));
    }

    /// <summary>Starts the ring, or gives a started ring another fd. No kick is waited for.</summary>
    internal static Outcome SetKick(SessionState state, VhostUserMessage message) => WithFd(
        state,
        message,
        (ring, fd) => ring with { Kick = fd, KickSaid = true, Started = true });

    internal static Outcome SetCall(SessionState state, VhostUserMessage message) =>
        WithFd(state, message, (ring, fd) => ring with { Call = fd, CallSaid = true });

    internal static Outcome SetError(SessionState state, VhostUserMessage message) =>
        WithFd(state, message, (ring, fd) => ring with { Error = fd });

    internal static Outcome SetEnable(SessionState state, VhostUserMessage message)
    {
        VringState payload = ReadState(message);
        if (CheckIndex(state, payload.Index) is { } unknown)
        {
            return Outcome.Refused(unknown);
        }

        var ring = (int)payload.Index;
        return payload.Num <= 1
            ? Outcome.Done(state.WithRing(ring, state.Rings[ring] with { EnableRequest = payload.Num == 1 }))
            : Outcome.Refused($"a ring is disabled by 0 and enabled by 1, not by {payload.Num}");
    }

    /// <summary>
    /// A kick as a message: starts a ring that stands still. One that has a kick fd, or is polled, needs no message.
    /// </summary>
    internal static Outcome Kick(SessionState state, VhostUserMessage message)
    {
        VringState payload = ReadState(message);
        if (CheckIndex(state, payload.Index) is { } unknown)
        {
            return Outcome.Refused(unknown);
        }

        if (payload.Num != 0)
        {
            return Outcome.Refused($"the number beside the ring is reserved, and {payload.Num} instead of 0");
        }

        var ring = (int)payload.Index;
        Outcome outcome = Change(state, ring, state.Rings[ring] with { Started = true });
        return outcome.Refusal is null && state.KicksByMessage(ring) ? outcome with { Effects = [new KickRing(ring)] } : outcome;
    }

    private static Outcome WithFd(SessionState state, VhostUserMessage message, Func<RingState, OwnedFd?, RingState> change)
    {
        if (!VringFd.TryRead(message.Payload.Span, out VringFd payload))
        {
            throw WrongSize(message);
        }

        string? reason = CheckIndex(state, payload.Index) ?? CheckFdCount(payload, message.FdCount);
        if (reason is not null)
        {
            return Outcome.Refused(reason);
        }

        OwnedFd? fd = message.FdCount == 1 ? message.TakeFd(0) : null;
        reason = fd is null ? null : NotificationFd.Check(fd);
        Outcome outcome = reason is null
            ? Change(state, payload.Index, change(state.Rings[payload.Index], fd))
            : Outcome.Refused(reason);
        if (outcome.Refusal is not null)
        {
            fd?.Dispose();
        }

        return outcome;
    }

    // The one check that needs size, addresses and a start: whichever of them comes last is the one refused.
    private static Outcome Change(SessionState state, int ring, RingState changed)
    {
        if (changed is { Started: true, Size: { } size, Addresses: { } addresses }
            && RingLayout.Check(size, addresses, state.Features) is { } reason)
        {
            return Outcome.Refused(reason);
        }

        return Outcome.Done(state.WithRing(ring, changed));
    }

    private static bool Runs(SessionState state, int ring) => state.PlanOf(ring) is not null;

    private static string? CheckIndex(SessionState state, uint index) =>
        index < (uint)state.Rings.Length ? null : $"ring {index} is not one of {state.Rings.Length}";

    private static string? CheckFdCount(VringFd payload, int count) => (payload.HasNoFd, count) switch
    {
        (true, 1) => "it says that there is no fd, and one came",
        (false, 0) => "it says that there is an fd, and none came",
        _ => null,
    };

    private static string? CheckFlags(SessionState state, uint flags)
    {
        if ((flags & ~VringAddresses.LogFlag) != 0)
        {
            return $"flags 0x{flags:x} are not known";
        }

        return flags == 0 || state.Profile.OfferedFeatures.HasFlag(VirtioFeatures.LogAll)
            ? null
            : "a log of the used ring was not offered";
    }

    private static VringState ReadState(VhostUserMessage message) =>
        VringState.TryRead(message.Payload.Span, out VringState payload) ? payload : throw WrongSize(message);

    private static InvalidOperationException WrongSize(VhostUserMessage message) =>
        new($"the row of {message} lets a wrong size pass");
}
