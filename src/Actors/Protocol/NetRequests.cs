using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Protocol;

/// <summary>Requests that concern network cards alone.</summary>
internal static class NetRequests
{
    private const int MinMtu = 68;
    private const int MaxMtu = 65535;

    private const uint FlagWritable = 0;
    private const uint FlagMigration = 1;

    /// <summary>The announcement goes out on the TAP. The address is in the first six bytes of the payload.</summary>
    internal static Outcome SendRarp(SessionState state, VhostUserMessage message)
    {
        var mac = new MacAddress(message.Payload.Span[..MacAddress.Size]);
        return mac.IsZero || mac.IsMulticast
            ? Outcome.Refused($"{mac} is not the address of a card")
            : Outcome.Done(state, new Announce(mac));
    }

    internal static Outcome SetMtu(SessionState state, VhostUserMessage message)
    {
        ulong mtu = DeviceRequests.ReadU64(message);
        return mtu is >= MinMtu and <= MaxMtu
            ? Outcome.Done(state with { Mtu = (int)mtu })
            : Outcome.Refused($"an MTU is {MinMtu} to {MaxMtu}, not {mtu}");
    }

    internal static Outcome GetConfig(SessionState state, VhostUserMessage message)
    {
        if (!ConfigPayload.TryRead(message.Payload.Span, out ConfigPayload wanted))
        {
            return Outcome.Refused($"the piece does not lie within the {ConfigPayload.MaxSize} bytes, or has another size than it says");
        }

        byte[] space = NetConfigSpace.ToBytes(state);
        var answer = wanted with { Bytes = space.AsMemory((int)wanted.Offset, (int)wanted.Size) };
        return Outcome.Answered(state, new Reply.Value(answer.ToBytes()));
    }

    /// <summary>
    /// The MAC can be written: by a legacy driver (virtio 1.3 section 5.1.4.1; VERSION_1 makes it read-only), and by
    /// a live migration. All else is read-only, but may be written with what it holds already by a live migration.
    /// </summary>
    internal static Outcome SetConfig(SessionState state, VhostUserMessage message)
    {
        if (!ConfigPayload.TryRead(message.Payload.Span, out ConfigPayload written))
        {
            return Outcome.Refused($"the piece does not lie within the {ConfigPayload.MaxSize} bytes, or has another size than it says");
        }

        return written.Flags switch
        {
            FlagWritable when !NetConfigSpace.IsMac(written) => Outcome.Refused("only the MAC can be written"),
            FlagWritable when state.Features.HasFlag(VirtioFeatures.Version1) =>
                Outcome.Refused("the MAC is read-only for drivers of virtio 1.0 and later"),
            FlagWritable or FlagMigration => Write(state, written),
            _ => Outcome.Refused($"flags {written.Flags} are not known"),
        };
    }

    private static Outcome Write(SessionState state, ConfigPayload written)
    {
        byte[] space = NetConfigSpace.ToBytes(state);
        written.Bytes.Span.CopyTo(space.AsSpan((int)written.Offset));
        SessionState next = state with { Mac = NetConfigSpace.MacOf(space) };
        return NetConfigSpace.ToBytes(next).AsSpan().SequenceEqual(space)
            ? Outcome.Done(next)
            : Outcome.Refused("all but the MAC is read-only");
    }
}
