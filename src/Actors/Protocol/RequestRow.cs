using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Protocol;

/// <summary>What has to be settled before a request is legal.</summary>
internal enum Gate
{
    /// <summary>Nothing.</summary>
    Open,

    /// <summary>VHOST_USER_F_PROTOCOL_FEATURES is offered.</summary>
    Extension,

    /// <summary>The row's protocol feature is offered.</summary>
    Offered,

    /// <summary>The row's protocol feature is acknowledged.</summary>
    Acknowledged,

    /// <summary>VIRTIO_F_ACCESS_PLATFORM is acknowledged.</summary>
    AccessPlatform,
}

/// <summary>Which rings a request needs quiet, or makes so.</summary>
internal enum Quiet
{
    /// <summary>Rings may run, and run on.</summary>
    None,

    /// <summary>It is refused while the ring that it names runs, unless it changes nothing.</summary>
    Ring,

    /// <summary>It is refused while any ring is started.</summary>
    AllStopped,

    /// <summary>It stops the ring that it names, and is answered when the ring stands still.</summary>
    StopsRing,

    /// <summary>It stops all rings, and is answered when they stand still.</summary>
    StopsAll,

    /// <summary>Rings run on, but it is answered only when every worker has let go of the old memory or log.</summary>
    Fence,
}

/// <summary>One request: what it must look like, when it is legal, and who handles it.</summary>
internal sealed record RequestRow(RequestCode Code, Func<SessionState, VhostUserMessage, Outcome> Handle)
{
    /// <summary>Bytes of payload.</summary>
    internal Range<int> Payload { get; init; } = new(0, 0);

    /// <summary>Descriptors that may come along.</summary>
    internal Range<int> Fds { get; init; } = new(0, 0);

    /// <summary>When it is legal.</summary>
    internal Gate Gate { get; init; }

    /// <summary>The protocol feature that <see cref="Gate"/> is about.</summary>
    internal ProtocolFeatures Feature { get; init; }

    /// <summary>The request has a reply of its own, so that the front-end waits for one in any case.</summary>
    internal bool HasReply { get; init; }

    /// <summary>That reply came with <see cref="Feature"/>: a front-end that has not acknowledged it does not wait.</summary>
    internal bool ReplyIsNegotiated { get; init; }

    /// <summary>The reply by which the request itself says that it failed, where it has one.</summary>
    internal Reply? OwnFailure { get; init; }

    /// <summary>What takes the place of its own reply when it is refused and there is no other way to say so.</summary>
    internal Reply ForLackOfReply { get; init; } = new Reply.Value(ReadOnlyMemory<byte>.Empty);

    /// <summary>What it asks of the rings.</summary>
    internal Quiet Quiet { get; init; }

    /// <summary>True when the front-end waits for the request's own reply.</summary>
    internal bool IsAwaited(SessionState state) => HasReply && (!ReplyIsNegotiated || state.Has(Feature));

    /// <summary>The reason why the message does not fit this row, or null.</summary>
    internal string? Check(SessionState state, VhostUserMessage message)
    {
        if (CheckGate(state) is { } reason)
        {
            return reason;
        }

        if (!Payload.Contains(message.Payload.Length))
        {
            return $"its payload has {Payload} bytes, not {message.Payload.Length}";
        }

        return Fds.Contains(message.FdCount) ? null : $"{Fds} fds come with it, not {message.FdCount}";
    }

    private string? CheckGate(SessionState state) => Gate switch
    {
        Gate.Extension when !state.Profile.OfferedFeatures.HasFlag(VirtioFeatures.ProtocolFeatures) =>
            "VHOST_USER_F_PROTOCOL_FEATURES is not offered",
        Gate.Offered when !state.Profile.OfferedProtocolFeatures.HasFlag(Feature) => $"{Feature} is not offered",
        Gate.Acknowledged when !state.Has(Feature) => $"{Feature} is not negotiated",
        Gate.AccessPlatform when !state.Features.HasFlag(VirtioFeatures.AccessPlatform) => "ACCESS_PLATFORM is not negotiated",
        _ => null,
    };
}

/// <summary>From one number to another, both included.</summary>
internal readonly record struct Range<T>(T Min, T Max)
    where T : IComparable<T>
{
    internal bool Contains(T value) => value.CompareTo(Min) >= 0 && value.CompareTo(Max) <= 0;

    public override string ToString() => Min.CompareTo(Max) == 0 ? $"{Min}" : $"{Min} to {Max}";
}
