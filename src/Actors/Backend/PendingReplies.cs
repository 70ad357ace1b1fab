using System.Collections.Immutable;
using Akka.Actor;

namespace Ringmaster.Actors.Backend;

/// <summary>
/// Who waits for which devices to come to something, <see cref="Patience"/> at most. Used by the backend's supervisor alone.
/// </summary>
internal sealed class PendingReplies(IWithTimers owner)
{
    /// <summary>All devices may take this long; one that waits for the kernel's rtnl lock needs its turn.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly List<PendingReply> _pending = [];

    /// <summary>
    /// Answers once each of these devices has come to something; at once when there are none. If that takes too long, a
    /// <see cref="ReplyOverdue"/> comes.
    /// </summary>
    /// <param name="requester">Gets the answer.</param>
    /// <param name="devices">Names of devices.</param>
    /// <param name="reply">Makes the answer of what became of them, by name.</param>
    internal void Add(IActorRef requester, HashSet<string> devices, Func<ImmutableArray<DeviceOutcome>, object> reply)
    {
        var pending = new PendingReply(requester, devices, reply);
        _pending.Add(pending);
        owner.Timers.StartSingleTimer(pending, new ReplyOverdue(pending), Patience);
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

    /// <summary>Answers without the devices that are still missing: of each it is said that it is.</summary>
    /// <returns>What was said of those.</returns>
    internal ImmutableArray<DeviceOutcome> GiveUp(ReplyOverdue overdue)
    {
        PendingReply pending = overdue.Reply;
        string reason = $"it has not come to anything in {Patience.TotalSeconds} s";
        ImmutableArray<DeviceOutcome> missing = [.. pending.Missing.Select(name => new DeviceOutcome(name, reason))];
        pending.Missing.Clear();
        pending.Outcomes.AddRange(missing);
        ReplyIfComplete(pending);
        return missing;
    }

    private void ReplyIfComplete(PendingReply pending)
    {
        if (pending.Missing.Count == 0)
        {
            _pending.Remove(pending);
            owner.Timers.Cancel(pending);
            pending.Requester.Tell(pending.Reply([.. pending.Outcomes.OrderBy(each => each.Name, StringComparer.Ordinal)]));
        }
    }
}

/// <summary>Somebody who waits for devices.</summary>
internal sealed class PendingReply(
    IActorRef requester, HashSet<string> missing, Func<ImmutableArray<DeviceOutcome>, object> reply)
{
    internal IActorRef Requester { get; } = requester;

    internal HashSet<string> Missing { get; } = missing;

    internal Func<ImmutableArray<DeviceOutcome>, object> Reply { get; } = reply;

    internal List<DeviceOutcome> Outcomes { get; } = [];
}

/// <summary>Somebody has waited for too long.</summary>
internal sealed record ReplyOverdue(PendingReply Reply);
