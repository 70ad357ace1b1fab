namespace Ringmaster.Native.Memory;

/// <summary>One run of foreign addresses and where it lies in this process. <c>Start + Size</c> does not wrap.</summary>
internal readonly unsafe struct AddressRange(ulong start, ulong size, byte* host)
{
    internal readonly ulong Start = start;
    internal readonly ulong Size = size;
    internal readonly byte* Host = host;
}

/// <summary>Ranges in ascending order that do not overlap; finds the one that holds an address. Immutable.</summary>
internal readonly struct AddressMap
{
    private readonly AddressRange[] _ranges;

    private AddressMap(AddressRange[] ranges) => _ranges = ranges;

    /// <summary>Holds no address.</summary>
    internal static AddressMap None { get; } = new([]);

    internal int Count => _ranges.Length;

    internal ref readonly AddressRange this[int index] => ref _ranges[index];

    /// <summary>The index of the range that holds the address, or -1.</summary>
    internal int Find(ulong address)
    {
        AddressRange[] ranges = _ranges;
        int low = 0;
        int high = ranges.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            ref readonly AddressRange range = ref ranges[middle];
            if (address < range.Start)
            {
                high = middle - 1;
            }
            else if (address - range.Start >= range.Size)
            {
                low = middle + 1;
            }
            else
            {
                return middle;
            }
        }

        return -1;
    }

    /// <summary>The map of one kind of address of mapped regions.</summary>
    /// <param name="regions">In any order.</param>
    /// <param name="start">The address of a region's first byte.</param>
    /// <param name="kind">For the message: <c>guest addresses</c>.</param>
    /// <exception cref="GuestMemoryException">Two of them overlap.</exception>
    internal static unsafe AddressMap Of(MemoryRegion[] regions, Func<MemoryRegionLayout, ulong> start, string kind)
    {
        MemoryRegion[] sorted = [.. regions.OrderBy(region => start(region.Layout))];
        for (int i = 1; i < sorted.Length; i++)
        {
            MemoryRegionLayout before = sorted[i - 1].Layout;
            MemoryRegionLayout layout = sorted[i].Layout;
            if (start(layout) - start(before) < before.Size)
            {
                throw new GuestMemoryException(layout, $"its {kind} overlap those of the region guest 0x{before.GuestAddress:x}");
            }
        }

        return new AddressMap(Array.ConvertAll(
            sorted, region => new AddressRange(start(region.Layout), region.Layout.Size, region.Host)));
    }
}
