namespace Ringmaster.Native.Memory;

/// <summary>
/// Memory that a front-end offered cannot be used. An expected refusal: nothing was mapped and what was there before is
/// as it was.
/// </summary>
public sealed class GuestMemoryException : Exception
{
    /// <summary>Names no region: the table as a whole is refused.</summary>
    public GuestMemoryException(string reason)
        : base(reason) => Reason = reason;

    /// <summary>Names the region and the reason.</summary>
    public GuestMemoryException(MemoryRegionLayout region, string reason)
        : base($"region guest 0x{region.GuestAddress:x} user 0x{region.UserAddress:x} size 0x{region.Size:x} "
            + $"offset 0x{region.MmapOffset:x}: {reason}")
    {
        Region = region;
        Reason = reason;
    }

    /// <summary>The region that is refused, or null when it is the table as a whole.</summary>
    public MemoryRegionLayout? Region { get; }

    /// <summary>The reason alone, without the region.</summary>
    public string Reason { get; }
}
