using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Memory;

/// <summary>
/// One region of guest memory, mapped. Shared by every <see cref="GuestMemory"/> snapshot that contains it; each holds one
/// reference, and the last one to go unmaps it. Thread-safe.
/// </summary>
internal sealed unsafe class MemoryRegion
{
    private readonly FileMapping _mapping;
    private ReferenceCount _references = new();

    private MemoryRegion(MemoryRegionLayout layout, FileMapping mapping)
    {
        Layout = layout;
        _mapping = mapping;
    }

    internal MemoryRegionLayout Layout { get; }

    /// <summary>Where the region's first byte lies in this process.</summary>
    internal byte* Host => _mapping.Host;

    /// <inheritdoc cref="GuestMemory.Faulted"/>
    internal bool Faulted => _mapping.Faulted;

    /// <summary>Maps a region; the caller owns the one reference.</summary>
    /// <exception cref="GuestMemoryException">It cannot be mapped.</exception>
    internal static MemoryRegion Map(MemoryRegionLayout layout, OwnedFd file)
    {
        string? reason = FirstWrap(layout);
        FileMapping? mapping = reason is null ? FileMapping.TryMap(file, layout.MmapOffset, layout.Size, out reason) : null;
        return mapping is null ? throw new GuestMemoryException(layout, reason!) : new MemoryRegion(layout, mapping);
    }

    internal void Retain() => _references.Retain(this);

    internal void Release()
    {
        if (_references.Release())
        {
            _mapping.Dispose();
        }
    }

    private static string? FirstWrap(MemoryRegionLayout layout)
    {
        if (layout.GuestAddress > ulong.MaxValue - layout.Size)
        {
            return "guest address plus size wraps around";
        }

        return layout.UserAddress > ulong.MaxValue - layout.Size ? "user address plus size wraps around" : null;
    }
}
