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

    /// <summary>Takes over an array that is sorted and free of overlaps.</summary>
    internal AddressMap(AddressRange[] ranges) => _ranges = ranges;

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
}
