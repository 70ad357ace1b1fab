using System.Collections.Immutable;
using Akka.Actor;

namespace Ringmaster.Actors.Backend;

/// <summary>Who waits for which devices to come to something. Used by the backend's supervisor alone.</summary>
internal sealed class PendingReplies
{
    private readonly List<PendingReply> _pending = [];

    /// <summary>Answers once each of these devices has come to something; at once when there are none.</summary>
    /// <param name="requester">Gets the answer.</param>
    /// <param name="devices">Names of devices.</param>
    /// <param name="reply">Makes the answer of what became of them, by name.</param>
    internal void Add(IActorRef requester, HashSet<string> devices, Func<ImmutableArray<DeviceOutcome>, object> reply)
    {
        var pending = new PendingReply(requester, devices, reply);
        _pending.Add(pending);
        ReplyIfComplete(pending);
    }

    /// <summary>A device has come to something.</summary>
    internal void Settle(DeviceOutcome outcome)
    {
        foreach (PendingReply pending in _pending.Where(each => each.Missing.Remove(outcome.Name)).ToList())
        {
            pending.Outcomes.Add(outcome);
            ReplyIfComplete(pending);
        }
    }

    private void ReplyIfComplete(PendingReply pending)
    {
        if (pending.Missing.Count == 0)
        {
            _pending.Remove(pending);
            pending.Requester.Tell(pending.Reply([.. pending.Outcomes.OrderBy(each => each.Name, StringComparer.Ordinal)]));
        }
    }

    private sealed record PendingReply(
        IActorRef Requester,
        HashSet<string> Missing,
        Func<ImmutableArray<DeviceOutcome>, object> Reply)
    {
        internal List<DeviceOutcome> Outcomes { get; } = [];
    }
}
