using System.Collections.Immutable;

namespace Ringmaster.Actors.Protocol;

/// <summary>What a request's handler says. <see cref="VhostUserSession.Step"/> makes a step of it.</summary>
/// <param name="Next">The new state; null after most refusals = the old one.</param>
/// <param name="Answer">The request's own reply; null = an acknowledgement, where one is wanted.</param>
/// <param name="Effects">What has to be done besides.</param>
/// <param name="Refusal">Why it is refused, or null.</param>
internal readonly record struct Outcome(
    SessionState? Next,
    Reply? Answer,
    ImmutableArray<SessionEffect> Effects,
    string? Refusal)
{
    internal static Outcome Done(SessionState next, params ReadOnlySpan<SessionEffect> effects) =>
        new(next, null, [.. effects], null);

    internal static Outcome Answered(SessionState next, Reply answer) => new(next, answer, [], null);

    internal static Outcome Answered(SessionState next, ulong value) =>
        Answered(next, new Reply.Value(new Native.VhostUser.U64Payload(value).ToBytes()));

    internal static Outcome Refused(string reason, SessionState? next = null) => new(next, null, [], reason);
}
