using System.Collections.Immutable;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Protocol;

/// <summary>Requests about the device as a whole, of whatever kind it is.</summary>
internal static class DeviceRequests
{
    /// <summary>Features that say how a ring is laid out: they cannot change under a ring that runs.</summary>
    private const VirtioFeatures RingFormat = VirtioFeatures.RingPacked | VirtioFeatures.AccessPlatform;

    internal static Outcome GetFeatures(SessionState state, VhostUserMessage message) =>
        Outcome.Answered(state, (ulong)state.Profile.OfferedFeatures);

    /// <summary>
    /// QEMU sends this once for each queue pair, so it may come while rings run, and to switch LOG_ALL it must: rings go
    /// on as they are and only their plans change.
    /// </summary>
    internal static Outcome SetFeatures(SessionState state, VhostUserMessage message)
    {
        var features = (VirtioFeatures)ReadU64(message);
        VirtioFeatures surplus = features & ~state.Profile.OfferedFeatures;
        if (surplus != 0)
        {
            return RefuseFeatures(state, $"{surplus} (0x{(ulong)surplus:x}) was not offered");
        }

        bool[] running = [.. state.Rings.Select((_, ring) => state.PlanOf(ring) is not null)];
        if (((features ^ state.Features) & RingFormat) != 0 && running.Contains(true))
        {
            return RefuseFeatures(state, "the format of rings cannot change while one runs");
        }

        Iotlb iotlb = features.HasFlag(VirtioFeatures.AccessPlatform) ? state.Iotlb : Iotlb.Empty;
        SessionState next = state with { Features = features, FeaturesRefused = false, Iotlb = iotlb };
        bool enabled = next.RingsStartEnabled;
        int misfit = Array.FindIndex([.. running.Select((runs, ring) => runs && next.PlanOf(ring) is null)], lost => lost);
        if (misfit >= 0)
        {
            return RefuseFeatures(state, $"ring {misfit} runs, and with them {next.ObstacleOf(misfit)}");
        }

        return Outcome.Done(next with
        {
            Rings = [.. state.Rings.Select((ring, i) => running[i] ? ring : ring with { EnabledByDefault = enabled })],
        });
    }

    /// <summary>A "session start" flag that nothing depends on; a second one is as good as the first.</summary>
    internal static Outcome SetOwner(SessionState state, VhostUserMessage message) => Outcome.Done(state);

    /// <summary>
    /// Deprecated: "either ignore this message, or use it to disable all rings". Rings that nobody could enable again
    /// (VHOST_USER_F_PROTOCOL_FEATURES not acknowledged) are left alone.
    /// </summary>
    internal static Outcome ResetOwner(SessionState state, VhostUserMessage message) =>
        Outcome.Done(state.RingsStartEnabled
            ? state
            : state with { Rings = [.. state.Rings.Select(ring => ring with { EnableRequest = false })] });

    internal static Outcome GetProtocolFeatures(SessionState state, VhostUserMessage message) =>
        Outcome.Answered(state, (ulong)state.Profile.OfferedProtocolFeatures);

    internal static Outcome SetProtocolFeatures(SessionState state, VhostUserMessage message)
    {
        var features = (ProtocolFeatures)ReadU64(message);
        ProtocolFeatures surplus = features & ~state.Profile.OfferedProtocolFeatures;
        if (surplus != 0)
        {
            return Outcome.Refused($"{surplus} (0x{(ulong)surplus:x}) was not offered");
        }

        ProtocolFeatures change = features ^ state.ProtocolFeatures;
        string? reason = change.HasFlag(ProtocolFeatures.GpaAddresses) && !state.Regions.IsEmpty
            ? "what addresses mean cannot change while there is memory"
            : ProtocolFeatureNeeds.Check(features);
        return reason is not null
            ? Outcome.Refused(reason)
            : Outcome.Done(state with { ProtocolFeatures = features });
    }

    internal static Outcome GetQueueNum(SessionState state, VhostUserMessage message) => Outcome.Answered(
        state,
        (ulong)(state.Profile.QueueNum == QueueNumUnit.Pairs ? state.Profile.QueuePairs : state.Profile.RingCount));

    /// <summary>
    /// Zero resets the device. Else the driver's bits are kept as they come (rings do not wait for DRIVER_OK, for
    /// QEMU and DPDK start them before), but FEATURES_OK only when the features were not refused.
    /// </summary>
    internal static Outcome SetStatus(SessionState state, VhostUserMessage message)
    {
        ulong value = ReadU64(message);
        if (value > byte.MaxValue)
        {
            return Outcome.Refused($"a device status has 8 bits, not 0x{value:x}");
        }

        if (value == 0)
        {
            return Reset(state);
        }

        DeviceStatus status = (DeviceStatus)value & ~DeviceStatus.NeedsReset;
        return Outcome.Done(state with
        {
            Status = state.FeaturesRefused ? status & ~DeviceStatus.FeaturesOk : status,
        });
    }

    internal static Outcome GetStatus(SessionState state, VhostUserMessage message) =>
        Outcome.Answered(state, (ulong)state.ReportedStatus);

    internal static Outcome ResetDevice(SessionState state, VhostUserMessage message) => Reset(state);

    /// <summary>
    /// Another channel takes the place of the last one. Any Unix stream socket will do; what it is connected to, if anything,
    /// shows when something is sent.
    /// </summary>
    internal static Outcome SetBackendReqFd(SessionState state, VhostUserMessage message)
    {
        OwnedFd fd = message.TakeFd(0);
        if (UnixSocket.IsConnection(fd))
        {
            return Outcome.Done(state with { BackendChannel = fd });
        }

        fd.Dispose();
        return Outcome.Refused("the fd is not a connected Unix stream socket");
    }

    internal static ulong ReadU64(VhostUserMessage message)
    {
        bool whole = U64Payload.TryRead(message.Payload.Span, out U64Payload payload);
        return whole ? payload.Value : throw new InvalidOperationException($"the row of {message} lets a wrong size pass");
    }

    /// <summary>
    /// What the driver has set goes: features, status, rings. What belongs to the connection stays, for QEMU does not say
    /// it again: protocol features, memory, the fds by which it listens, the MTU and the channel for requests by the back-end.
    /// The in-flight region tells of rings that are no more: front-ends get a new one or send the old one again before they
    /// start others.
    /// </summary>
    private static Outcome Reset(SessionState state)
    {
        SessionState next = Forget(state);
        return state.TracksInflight ? Outcome.Done(next, new DropInflight()) : Outcome.Done(next);
    }

    private static SessionState Forget(SessionState state) => state with
    {
        TracksInflight = false,
        Features = VirtioFeatures.None,
        FeaturesRefused = false,
        Status = DeviceStatus.None,
        NeedsReset = false,
        Mac = state.Profile.Mac ?? default,
        Iotlb = Iotlb.Empty,
        Rings = [.. state.Rings.Select(ring => ring.Reset())],
    };

    /// <summary>After a SET_FEATURES that was refused: the driver is to find FEATURES_OK unset.</summary>
    internal static SessionState WithFeaturesRefused(SessionState state) => state with
    {
        FeaturesRefused = true,
        Status = state.Status & ~DeviceStatus.FeaturesOk,
    };

    private static Outcome RefuseFeatures(SessionState state, string reason) =>
        Outcome.Refused(reason, WithFeaturesRefused(state));
}
