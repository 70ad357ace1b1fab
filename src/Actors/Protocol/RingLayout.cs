using System.Collections.Immutable;
using System.Numerics;
using System.Runtime.CompilerServices;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// Where the three parts of a ring may lie (virtio 1.3 sections 2.7 and 2.8). Bytes for a ring of n descriptors:
/// <code>
///                 split                    packed
/// descriptors     16 n, aligned to 16      16 n, aligned to 16
/// driver's part   4 + 2 n, aligned to 2    4, aligned to 4
/// device's part   4 + 8 n, aligned to 4    4, aligned to 4
/// </code>
/// Two bytes follow the driver's and the device's part of a split ring: they must be mapped, and they are the ring's own
/// where EVENT_IDX is acknowledged.
/// </summary>
internal static class RingLayout
{
    /// <summary>The reason why no ring can have this size, or null.</summary>
    internal static string? CheckSize(long size, int max, VirtioFeatures features)
    {
        if (size < 1 || size > max)
        {
            return $"a ring has 1 to {max} descriptors, not {size}";
        }

        return IsPacked(features) || BitOperations.IsPow2(size)
            ? null
            : $"the size of a split ring is a power of two, not {size}";
    }

    /// <summary>The reason why no ring can have these addresses, whatever its size, or null.</summary>
    internal static string? CheckAlignment(VringAddresses addresses, VirtioFeatures features)
    {
        foreach (Part part in new Parts(1, addresses, features))
        {
            if (part.Start % part.Alignment != 0)
            {
                return $"the {part.Name} at 0x{part.Start:x} is not aligned to {part.Alignment}";
            }
        }

        return null;
    }

    /// <summary>The reason why a ring of this size cannot have these addresses, or null.</summary>
    internal static string? Check(int size, VringAddresses addresses, VirtioFeatures features)
    {
        string? reason = CheckSize(size, int.MaxValue, features) ?? CheckAlignment(addresses, features);
        if (reason is not null)
        {
            return reason;
        }

        var parts = new Parts(size, addresses, features);
        foreach (Part part in parts)
        {
            if (part.Length - 1 > ulong.MaxValue - part.Start)
            {
                return $"the {part.Name} at 0x{part.Start:x} passes the end of the address space";
            }
        }

        foreach (Part part in parts)
        {
            foreach (Part other in parts)
            {
                if (part.BeginsWithin(other))
                {
                    return $"the {part.Name} at 0x{part.Start:x} begins within the {other.Name}";
                }
            }
        }

        return null;
    }

    /// <summary>
    /// The reason why the ring is out of reach: a part that the memory table does not hold, or null. Addresses behind an
    /// IOMMU say nothing about the table.
    /// </summary>
    internal static string? CheckMemory(
        int size,
        VringAddresses addresses,
        VirtioFeatures features,
        ImmutableArray<MemoryRegionLayout> regions)
    {
        if (features.HasFlag(VirtioFeatures.AccessPlatform))
        {
            return null;
        }

        foreach (Part part in new Parts(size, addresses, features | VirtioFeatures.EventIdx))
        {
            if (!Holds(regions, part.Start, part.Length))
            {
                return $"the {part.Name} at 0x{part.Start:x} ({part.Length} bytes) is not in guest memory";
            }
        }

        return null;
    }

    // Follows the range from region to region, so that a part may lie across two that are neighbours.
    internal static bool Holds(ImmutableArray<MemoryRegionLayout> regions, ulong start, ulong length)
    {
        while (true)
        {
            MemoryRegionLayout? home = null;
            foreach (MemoryRegionLayout region in regions)
            {
                if (start >= region.UserAddress && start - region.UserAddress < region.Size)
                {
                    home = region;
                    break;
                }
            }

            if (home is not { } found)
            {
                return false;
            }

            ulong held = found.Size - (start - found.UserAddress);
            if (length <= held)
            {
                return true;
            }

            start += held;
            length -= held;
        }
    }

    private static bool IsPacked(VirtioFeatures features) => features.HasFlag(VirtioFeatures.RingPacked);

    private readonly record struct Part(string Name, ulong Start, ulong Length, ulong Alignment)
    {
        /// <summary>Its first byte is one of the other's. Of two parts that overlap this is true for one at least.</summary>
        internal bool BeginsWithin(Part other) =>
            Name != other.Name && Start >= other.Start && Start - other.Start < other.Length;
    }

    /// <summary>The three parts, without an allocation: every message of a front-end asks for those of all rings.</summary>
    [InlineArray(3)]
    private struct Parts
    {
        private Part _first;

        internal Parts(int size, VringAddresses addresses, VirtioFeatures features)
        {
            ulong n = (ulong)size;
            if (IsPacked(features))
            {
                this[0] = new Part("descriptor ring", addresses.Descriptor, 16 * n, 16);
                this[1] = new Part("driver event suppression", addresses.Available, 4, 4);
                this[2] = new Part("device event suppression", addresses.Used, 4, 4);
                return;
            }

            ulong eventIndex = features.HasFlag(VirtioFeatures.EventIdx) ? 2UL : 0;
            this[0] = new Part("descriptor table", addresses.Descriptor, 16 * n, 16);
            this[1] = new Part("available ring", addresses.Available, 4 + (2 * n) + eventIndex, 2);
            this[2] = new Part("used ring", addresses.Used, 4 + (8 * n) + eventIndex, 4);
        }
    }
}
