using System.Collections.Immutable;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// What one message leads to. Carry out the effects, bring the workers from the old state's plans to the new one's,
/// make <see cref="Next"/> the state, send the reply. When an effect fails, <see cref="VhostUserSession.Refuse"/> says
/// what to do instead.
/// </summary>
/// <param name="Next">The state to go on with; after most refusals it is the old one.</param>
/// <param name="Reply">What goes back, once everything else is done.</param>
/// <param name="Effects">What has to be done besides.</param>
/// <param name="Refusal">Why the message was refused, for the log; null when it was not.</param>
public sealed record SessionStep(SessionState Next, Reply Reply, ImmutableArray<SessionEffect> Effects, string? Refusal);
