using System.Collections.Immutable;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// Requests about guest memory. Whether a file really holds what a region claims, and whether regions overlap, shows
/// when it is mapped, and that is an effect.
/// </summary>
internal static class MemoryRequests
{
    internal static Outcome SetMemTable(SessionState state, VhostUserMessage message)
    {
        if (!MemTable.TryRead(message.Payload.Span, out MemoryRegionLayout[] regions, out string? error))
        {
            return Outcome.Refused(error);
        }

        if (message.FdCount != regions.Length)
        {
            return Outcome.Refused($"{regions.Length} regions need {regions.Length} fds, not {message.FdCount}");
        }

        regions = [.. regions.Select(region => Understood(state, region))];
        ImmutableArray<(MemoryRegionLayout, OwnedFd)> files = [.. regions.Select((region, i) => (region, message.TakeFd(i)))];
        SessionState next = state with
        {
            Regions = [.. regions],
            RepeatedRegions = state.RepeatedRegions.Clear(),
            Iotlb = Iotlb.Empty,
        };
        return PostcopyRequests.WithBases(Outcome.Done(next, new MapMemory(files)), next.Regions, single: false);
    }

    internal static Outcome GetMaxSlots(SessionState state, VhostUserMessage message) =>
        Outcome.Answered(state, VhostUserSession.MaxMemorySlots);

    /// <summary>
    /// QEMU up to 7.2 says everything once for each queue pair, memory too: the region that is there already is
    /// the same once more (and its file is closed), and it goes when it was taken out as often as it was added.
    /// </summary>
    internal static Outcome Add(SessionState state, VhostUserMessage message)
    {
        MemoryRegionLayout region = ReadRegion(state, message);
        if (state.Regions.Contains(region))
        {
            if (state.IsPostcopy && !state.MappedAt.ContainsKey(region))
            {
                return Outcome.Refused("the region is there since before POSTCOPY_LISTEN");
            }

            return PostcopyRequests.WithBases(Outcome.Done(Repeat(state, region, +1)), [region], single: true);
        }

        return state.Regions.Length < VhostUserSession.MaxMemorySlots
            ? PostcopyRequests.WithBases(
                Outcome.Done(state with { Regions = state.Regions.Add(region) }, new AddRegion(region, message.TakeFd(0))),
                [region],
                single: true)
            : Outcome.Refused($"there are {VhostUserSession.MaxMemorySlots} regions already");
    }

    /// <summary>
    /// The region is known by both addresses and its size; the offset is ignored. Old front-ends send a file along: it
    /// is closed like every fd that nobody takes.
    /// </summary>
    internal static Outcome Remove(SessionState state, VhostUserMessage message)
    {
        MemoryRegionLayout region = ReadRegion(state, message);
        foreach (MemoryRegionLayout known in state.Regions)
        {
            if (known with { MmapOffset = region.MmapOffset } == region)
            {
                if (state.RepeatedRegions.ContainsKey(known))
                {
                    return Outcome.Done(Repeat(state, known, -1));
                }

                return Outcome.Done(
                    state with { Regions = state.Regions.Remove(known), Iotlb = Iotlb.Empty },
                    new RemoveRegion(known));
            }
        }

        return Outcome.Refused(
            $"no region has guest address 0x{region.GuestAddress:x}, user address 0x{region.UserAddress:x} "
            + $"and size 0x{region.Size:x}");
    }

    private static SessionState Repeat(SessionState state, MemoryRegionLayout region, int change)
    {
        long count = state.RepeatedRegions.GetValueOrDefault(region) + change;
        return state with
        {
            RepeatedRegions = count == 0 ? state.RepeatedRegions.Remove(region) : state.RepeatedRegions.SetItem(region, count),
        };
    }

    private static MemoryRegionLayout ReadRegion(SessionState state, VhostUserMessage message)
    {
        bool whole = SingleMemoryRegion.TryRead(message.Payload.Span, out SingleMemoryRegion payload);
        return whole
            ? Understood(state, payload.Region)
            : throw new InvalidOperationException($"the row of {message} lets a wrong size pass");
    }

    /// <summary>
    /// With GPA_ADDRESSES the front-end's own addresses are nowhere said: where a user address stands, a guest address is meant.
    /// What it wrote as the region's user address does not matter (QEMU: the guest address once more).
    /// </summary>
    private static MemoryRegionLayout Understood(SessionState state, MemoryRegionLayout region) =>
        state.Has(ProtocolFeatures.GpaAddresses) ? region with { UserAddress = region.GuestAddress } : region;
}
