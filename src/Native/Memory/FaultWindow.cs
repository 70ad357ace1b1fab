using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Memory;

/// <summary>
/// A second mapping of a region's file, by which pages that post-copy has not brought yet are fetched. The first mapping, which
/// the rings work on, is never registered with the userfaultfd; whoever is to use a page of it touches the same page here first
/// and waits. Reference-counted; thread-safe.
/// </summary>
/// <remarks>
/// Why two:
/// <list type="bullet">
/// <item>A thread that waits in managed code holds up every garbage collection, and with it all other devices of the process.
/// Here it waits in the C library.</item>
/// <item>Frames go to and from guest memory by system calls. Their faults would need a userfaultfd that needs a privilege.</item>
/// <item>A front-end can take a page out again that was here (by a hole in the file). On the first mapping that is a page of
/// zeros, as ever, and no wait.</item>
/// </list>
/// A page that has been fetched is not touched again: one bit for each says so.
/// </remarks>
internal sealed unsafe class FaultWindow
{
    private const int BitsOfWord = 64;

    private readonly byte* _host;
    private readonly FileMapping _mapping;
    private readonly Userfault _faults;
    private readonly ulong[] _fetched;
    private ReferenceCount _references = new();

    private FaultWindow(MemoryRegion region, FileMapping mapping, Userfault faults)
    {
        Layout = region.Layout;
        _host = region.Host;
        _mapping = mapping;
        _faults = faults;
        _fetched = new ulong[(mapping.Length / mapping.PageSize / BitsOfWord) + 1];
    }

    internal MemoryRegionLayout Layout { get; }

    /// <summary>Where the region's first byte lies in this window: what the front-end knows faults by.</summary>
    internal ulong Address => (ulong)_mapping.Host;

    /// <summary>The window over a region; none when no pages are to come. The caller owns the one reference.</summary>
    /// <exception cref="GuestMemoryException">The kernel does not report faults in memory of this kind.</exception>
    internal static FaultWindow[] Over(MemoryRegion region, OwnedFd file, Userfault? faults)
    {
        if (faults is null)
        {
            return [];
        }

        MemoryRegionLayout layout = region.Layout;
        FileMapping? mapping = FileMapping.TryMap(file, layout.MmapOffset, layout.Size, out string? reason);
        if (mapping is null)
        {
            throw new GuestMemoryException(layout, reason!);
        }

        // A huge page that is put together behind our back would count as here with holes in it. Not every kernel has them.
        MemoryCalls.Advise(mapping.Base, mapping.Length, MemoryCalls.AdviseNoHugePage);
        reason = faults.TryArm((ulong)mapping.Base, mapping.Length);
        if (reason is null)
        {
            return [new FaultWindow(region, mapping, faults)];
        }

        mapping.Dispose();
        throw new GuestMemoryException(layout, reason);
    }

    internal void Retain() => _references.Retain(this);

    internal void Release()
    {
        if (_references.Release())
        {
            _faults.Release((ulong)_mapping.Base, _mapping.Length);
            _mapping.Dispose();
        }
    }

    /// <summary>Waits until those pages of a range are here that lie in this region.</summary>
    /// <param name="host">The range's first byte, in the region's first mapping.</param>
    /// <param name="length">Bytes.</param>
    internal void Fetch(byte* host, ulong length)
    {
        ulong first = Math.Max((ulong)host, (ulong)_host);
        ulong end = Math.Min((ulong)host + length, (ulong)_host + Layout.Size);
        if (first >= end)
        {
            return;
        }

        // Both mappings begin at the same place of a page.
        ulong before = (ulong)(_mapping.Host - _mapping.Base);
        ulong last = (before + (end - 1 - (ulong)_host)) / _mapping.PageSize;
        for (ulong page = (before + (first - (ulong)_host)) / _mapping.PageSize; page <= last; page++)
        {
            FetchPage(page);
        }
    }

    private void FetchPage(ulong page)
    {
        ref ulong word = ref _fetched[page / BitsOfWord];
        ulong bit = 1UL << (int)(page % BitsOfWord);
        if ((Volatile.Read(ref word) & bit) == 0)
        {
            UserfaultCalls.Touch(_mapping.Base + (page * _mapping.PageSize));
            Interlocked.Or(ref word, bit);
        }
    }
}
