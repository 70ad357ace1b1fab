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

    private const string NoSuchPiece = "the piece passes the end of the space, or is not as long as it says";

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
        return IsMtu(mtu)
            ? Outcome.Done(state with { Mtu = (int)mtu })
            : Outcome.Refused($"an MTU is {MinMtu} to {MaxMtu}, not {mtu}");
    }

    /// <summary>
    /// Zeros follow the fields, to the 256 bytes that a front-end may ask for: cloud-hypervisor reads 24, others what they
    /// know of.
    /// </summary>
    internal static Outcome GetConfig(SessionState state, VhostUserMessage message)
    {
        if (!ConfigPayload.TryRead(message.Payload.Span, out ConfigPayload wanted))
        {
            return Outcome.Refused(NoSuchPiece);
        }

        byte[] piece = new byte[wanted.Size];
        ConfigOf(state).Read(wanted.Offset, piece);
        return Outcome.Answered(state, new Reply.Value((wanted with { Bytes = piece }).ToBytes()));
    }

    /// <summary>
    /// The MAC can be written: by a legacy driver (virtio 1.3 section 5.1.4; VERSION_1 makes it read-only), and by
    /// a live migration. All else is read-only, but a live migration may write what it holds already.
    /// </summary>
    internal static Outcome SetConfig(SessionState state, VhostUserMessage message)
    {
        if (!ConfigPayload.TryRead(message.Payload.Span, out ConfigPayload written))
        {
            return Outcome.Refused(NoSuchPiece);
        }

        return written.Flags switch
        {
            FlagWritable when written.Offset + written.Size > MacAddress.Size => Outcome.Refused("only the MAC can be written"),
            FlagWritable when state.Features.HasFlag(VirtioFeatures.Version1) =>
                Outcome.Refused("the MAC is read-only for drivers of virtio 1.0 and later"),
            FlagWritable or FlagMigration => Write(state, written),
            _ => Outcome.Refused($"flags {written.Flags} are not known"),
        };
    }

    internal static bool IsMtu(ulong value) => value is >= MinMtu and <= MaxMtu;

    /// <summary>True when link or MTU differ. The MAC is written by the front-end alone, which knows.</summary>
    internal static bool ConfigDiffers(SessionState before, SessionState after) =>
        ConfigOf(before) with { Mac = default } != ConfigOf(after) with { Mac = default };

    private static Outcome Write(SessionState state, ConfigPayload written)
    {
        byte[] before = new byte[ConfigPayload.MaxSize];
        ConfigOf(state).Read(0, before);
        byte[] after = [.. before];
        written.Bytes.Span.CopyTo(after.AsSpan((int)written.Offset));
        return before.AsSpan(MacAddress.Size).SequenceEqual(after.AsSpan(MacAddress.Size))
            ? Outcome.Done(state with { Mac = new MacAddress(after.AsSpan(0, MacAddress.Size)) })
            : Outcome.Refused("all but the MAC is read-only");
    }

    private static VirtioNetConfig ConfigOf(SessionState state) => new(
        state.Mac,
        state.LinkUp ? VirtioNetConfig.LinkUp : (ushort)0,
        (ushort)state.Profile.QueuePairs,
        (ushort)(state.Mtu ?? SessionState.DefaultMtu));
}
