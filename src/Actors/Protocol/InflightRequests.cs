using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// Requests about the memory that tells, after a crash, which chains were in flight. The front-end asks for it once, sends it
/// back before it starts rings, and keeps it for the next back-end.
/// </summary>
internal static class InflightRequests
{
    internal static Outcome Get(SessionState state, VhostUserMessage message)
    {
        if (!InflightPayload.TryRead(message.Payload.Span, out InflightPayload asked))
        {
            return WrongSize(message);
        }

        if (CheckCounts(state, asked) is { } reason)
        {
            return Outcome.Refused(reason);
        }

        bool packed = IsPacked(state);
        var answer = new InflightPayload(
            InflightRegion.SizeOf(asked.Queues, asked.QueueSize, packed), 0, asked.Queues, asked.QueueSize);
        return Outcome.Answered(state with { TracksInflight = true }, new Reply.InflightFile(answer)) with
        {
            Effects = [new MakeInflight(asked.Queues, asked.QueueSize, packed)],
        };
    }

    /// <summary>Of the size it matters that the file holds it, which mapping shows, and that the queues fit in it.</summary>
    internal static Outcome Set(SessionState state, VhostUserMessage message)
    {
        if (!InflightPayload.TryRead(message.Payload.Span, out InflightPayload given))
        {
            return WrongSize(message);
        }

        if (CheckCounts(state, given) is { } reason)
        {
            return Outcome.Refused(reason);
        }

        ulong needed = InflightRegion.SizeOf(given.Queues, given.QueueSize, IsPacked(state));
        return given.MmapSize >= needed
            ? Outcome.Done(
                state with { TracksInflight = true },
                new MapInflight(given.MmapSize, given.MmapOffset, given.Queues, given.QueueSize, message.TakeFd(0)))
            : Outcome.Refused($"{given.Queues} queues of {given.QueueSize} need {needed} bytes, not {given.MmapSize}");
    }

    private static string? CheckCounts(SessionState state, InflightPayload payload)
    {
        if (payload.Queues < 1 || payload.Queues > state.Profile.RingCount)
        {
            return $"there are 1 to {state.Profile.RingCount} queues, not {payload.Queues}";
        }

        return payload.QueueSize < 1 || payload.QueueSize > state.Profile.MaxQueueSize
            ? $"a queue has 1 to {state.Profile.MaxQueueSize} descriptors, not {payload.QueueSize}"
            : null;
    }

    private static bool IsPacked(SessionState state) => state.Features.HasFlag(VirtioFeatures.RingPacked);

    private static Outcome WrongSize(VhostUserMessage message) => Outcome.Refused(
        $"its payload has {InflightPayload.MinSizeInBytes} or {InflightPayload.SizeInBytes} bytes, not {message.Payload.Length}");
}
