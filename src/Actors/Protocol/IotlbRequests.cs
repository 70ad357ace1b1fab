using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// The translations of a device behind an IOMMU. Each message gives the session another <see cref="Iotlb"/>, and is
/// acknowledged when every worker has let go of the last one: a withdrawn translation is not used after that.
/// </summary>
internal static class IotlbRequests
{
    internal static Outcome Change(SessionState state, VhostUserMessage message)
    {
        if (!IotlbPayload.TryRead(message.Payload.Span, out IotlbPayload payload))
        {
            return Outcome.Refused($"an IOTLB message of {message.Payload.Length} bytes");
        }

        return payload.Type switch
        {
            IotlbType.Update => Update(state, payload),
            IotlbType.Invalidate => Invalidate(state, payload),
            _ => Outcome.Refused($"an IOTLB message of type {(byte)payload.Type}"),
        };
    }

    private static Outcome Update(SessionState state, IotlbPayload payload)
    {
        var entry = new IotlbEntry(payload.Iova, payload.Size, payload.UserAddress, payload.Access);
        if (state.Iotlb.Update(entry, out string? error) is not { } changed)
        {
            return Outcome.Refused(error!);
        }

        return RingLayout.Holds(state.Regions, entry.UserAddress, entry.Size)
            ? Outcome.Done(state with { Iotlb = changed })
            : Outcome.Refused($"0x{entry.UserAddress:x} ({entry.Size} bytes) is not in guest memory");
    }

    /// <summary>Size 0 at address 0 is a range of 2^64 bytes, which the field cannot hold.</summary>
    private static Outcome Invalidate(SessionState state, IotlbPayload payload)
    {
        bool all = payload is { Iova: 0, Size: 0 };
        if (!all && (payload.Size == 0 || payload.Size - 1 > ulong.MaxValue - payload.Iova))
        {
            return Outcome.Refused($"0x{payload.Iova:x} and 0x{payload.Size:x} bytes are no range");
        }

        return Outcome.Done(state with { Iotlb = state.Iotlb.Invalidate(payload.Iova, payload.Iova + (payload.Size - 1)) });
    }
}
