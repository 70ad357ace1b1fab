using System.Collections.Immutable;
using System.Numerics;
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
        foreach (Part part in Parts(1, addresses, features))
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

        Part[] parts = Parts(size, addresses, features);
        foreach (Part part in parts)
        {
            if (part.Length - 1 > ulong.MaxValue - part.Start)
            {
                return $"the {part.Name} at 0x{part.Start:x} passes the end of the address space";
            }
        }

        Array.Sort(parts, (a, b) => a.Start.CompareTo(b.Start));
        for (int i = 1; i < parts.Length; i++)
        {
            if (parts[i].Start - parts[i - 1].Start < parts[i - 1].Length)
            {
                return $"the {parts[i].Name} at 0x{parts[i].Start:x} begins within the {parts[i - 1].Name}";
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

        foreach (Part part in Parts(size, addresses, features | VirtioFeatures.EventIdx))
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

    private static Part[] Parts(int size, VringAddresses addresses, VirtioFeatures features)
    {
        ulong n = (ulong)size;
        if (IsPacked(features))
        {
            return
            [
                new Part("descriptor ring", addresses.Descriptor, 16 * n, 16),
                new Part("driver event suppression", addresses.Available, 4, 4),
                new Part("device event suppression", addresses.Used, 4, 4),
            ];
        }

        ulong eventIndex = features.HasFlag(VirtioFeatures.EventIdx) ? 2UL : 0;
        return
        [
            new Part("descriptor table", addresses.Descriptor, 16 * n, 16),
            new Part("available ring", addresses.Available, 4 + (2 * n) + eventIndex, 2),
            new Part("used ring", addresses.Used, 4 + (8 * n) + eventIndex, 4),
        ];
    }

    private readonly record struct Part(string Name, ulong Start, ulong Length, ulong Alignment);
}
