using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Memory;

/// <summary>
/// An immutable, reference-counted snapshot of a guest's memory: the regions that the front-end shares, mapped into this
/// process, and the translation of its addresses.
/// </summary>
/// <remarks>
/// Ownership: a snapshot holds one reference to each of its regions, so that two snapshots share what they have in common
/// and a region is unmapped when the last snapshot with it has gone. Whoever keeps a snapshot beyond a call retains it;
/// whoever holds no reference may not touch a translated pointer any more. Every member may be used from any thread.
/// What lies in the memory is the guest's: it can change at any time, also between two reads.
/// </remarks>
public sealed unsafe class GuestMemory
{
    /// <summary>How many regions a table can have: what GET_MAX_MEM_SLOTS answers.</summary>
    public const int MaxRegions = 509;

    private readonly MemoryRegion[] _regions;
    private readonly AddressMap _guest;
    private readonly AddressMap _user;
    private readonly FaultWindow[] _windows; // none = every page is here
    private ReferenceCount _references = new();
    private bool _faulted;
    private long _faultsSeen; // the first fault in the process is number 1

    /// <summary>Takes over one reference to each region and window.</summary>
    private GuestMemory(MemoryRegion[] regions, FaultWindow[] windows, AddressMap guest, AddressMap user)
    {
        _regions = regions;
        _windows = windows;
        _guest = guest;
        _user = user;
        Regions = Array.AsReadOnly(Array.ConvertAll(regions, region => region.Layout));
    }

    /// <summary>No memory at all. It needs no reference counting: retaining and releasing it does nothing.</summary>
    public static GuestMemory Empty { get; } = new([], [], AddressMap.None, AddressMap.None);

    /// <summary>The regions in the order in which the front-end named them.</summary>
    public IReadOnlyList<MemoryRegionLayout> Regions { get; }

    /// <summary>
    /// True while pages may still have to come from another machine (post-copy): whoever translates an address waits for those
    /// that he is to use.
    /// </summary>
    public bool AwaitsPages => _windows.Length > 0;

    /// <summary>Where the front-end finds the faults of each region, for the answers to it. Empty outside post-copy.</summary>
    public IReadOnlyDictionary<MemoryRegionLayout, ulong> FaultBases =>
        _windows.ToDictionary(window => window.Layout, window => window.Address);

    /// <summary>
    /// True once memory of some region has vanished: its file was truncated (or could give no page), somebody touched the
    /// place, and a private page of zeros took its place. What is read from now on means nothing; it never becomes false again.
    /// Cheap enough to ask after every batch.
    /// </summary>
    public bool Faulted
    {
        get
        {
            long faults = SigbusGuard.Faults;
            return faults == Volatile.Read(ref _faultsSeen) ? _faulted : LookForFaults(faults);
        }
    }

    /// <summary>
    /// Why this process would not survive memory that vanishes, for the operator's log; null when it does. It cannot on a
    /// machine that is neither x86-64 nor arm64, or where no executable memory may be made.
    /// </summary>
    public static string? GuardProblem => SigbusGuard.Problem;

    /// <summary>Maps a whole table.</summary>
    /// <param name="regions">1 to 509 regions. The descriptors are borrowed during the call and stay the caller's.</param>
    /// <param name="faults">Where pages that are not here yet are asked for; null = all are here.</param>
    /// <returns>A snapshot whose one reference belongs to the caller.</returns>
    /// <exception cref="GuestMemoryException">A region cannot be used; nothing stays mapped.</exception>
    public static GuestMemory Map(IReadOnlyList<(MemoryRegionLayout Layout, OwnedFd File)> regions, Userfault? faults = null)
    {
        if (regions.Count is < 1 or > MaxRegions)
        {
            throw new GuestMemoryException($"the table has {regions.Count} regions, allowed are 1 to {MaxRegions}");
        }

        var mapped = new List<MemoryRegion>(regions.Count);
        var windows = new List<FaultWindow>();
        try
        {
            foreach ((MemoryRegionLayout layout, OwnedFd file) in regions)
            {
                mapped.Add(MemoryRegion.Map(layout, file));
                windows.AddRange(FaultWindow.Over(mapped[^1], file, faults));
            }

            return Build([.. mapped], [.. windows]);
        }
        catch
        {
            windows.ForEach(window => window.Release());
            mapped.ForEach(region => region.Release());
            throw;
        }
    }

    /// <summary>This table and one more region, as a new snapshot; this one stays as it is.</summary>
    /// <param name="layout">The region.</param>
    /// <param name="file">Its memory; borrowed during the call.</param>
    /// <param name="faults">As in <see cref="Map"/>, for this region.</param>
    /// <returns>A snapshot whose one reference belongs to the caller.</returns>
    /// <exception cref="GuestMemoryException">The region cannot be used.</exception>
    public GuestMemory Add(MemoryRegionLayout layout, OwnedFd file, Userfault? faults = null)
    {
        if (_regions.Length == MaxRegions)
        {
            throw new GuestMemoryException(layout, $"the table has {MaxRegions} regions already");
        }

        MemoryRegion added = MemoryRegion.Map(layout, file);
        FaultWindow[] window = [];
        try
        {
            window = FaultWindow.Over(added, file, faults);
            return Share([.. _regions, added], [.. _windows, .. window]);
        }
        finally
        {
            Array.ForEach(window, each => each.Release());
            added.Release();
        }
    }

    /// <summary>This table without one region, as a new snapshot; this one stays as it is.</summary>
    /// <param name="layout">Guest address, user address and size must match; the offset is not looked at.</param>
    /// <returns>A snapshot whose one reference belongs to the caller.</returns>
    /// <exception cref="GuestMemoryException">There is no such region.</exception>
    public GuestMemory Remove(MemoryRegionLayout layout)
    {
        int index = Array.FindIndex(_regions, region => region.Layout with { MmapOffset = layout.MmapOffset } == layout);
        return index >= 0
            ? Share(
                [.. _regions[..index], .. _regions[(index + 1)..]],
                [.. _windows.Where(window => window.Layout != _regions[index].Layout)])
            : throw new GuestMemoryException(layout, "the table has no such region");
    }

    /// <summary>The same table once all pages have come, as a new snapshot; this one stays as it is.</summary>
    /// <returns>A snapshot whose one reference belongs to the caller.</returns>
    public GuestMemory WithAllPages() => Share(_regions, []);

    /// <summary>Takes a reference. Only somebody who knows that one is held may call this.</summary>
    /// <exception cref="ObjectDisposedException">The last reference has gone.</exception>
    public void Retain()
    {
        if (_regions.Length > 0)
        {
            _references.Retain(this);
        }
    }

    /// <summary>Gives a reference back; the last one unmaps what no other snapshot has.</summary>
    /// <exception cref="InvalidOperationException">More was released than retained.</exception>
    public void Release()
    {
        if (_regions.Length > 0 && _references.Release())
        {
            Array.ForEach(_windows, window => window.Release());
            Array.ForEach(_regions, region => region.Release());
        }
    }

    /// <summary>Translates a guest-physical address.</summary>
    /// <param name="guestAddress">The first byte.</param>
    /// <param name="length">How many bytes are wanted.</param>
    /// <param name="host">Where the first byte lies in this process.</param>
    /// <param name="available">
    /// How many of them lie there in one piece; less than <paramref name="length"/> where the region ends, and then the
    /// rest is translated with another call.
    /// </param>
    /// <returns>False when no region holds the first byte.</returns>
    internal bool TryTranslate(ulong guestAddress, ulong length, out byte* host, out ulong available)
    {
        AddressRange hit = default;
        return TryTranslate(guestAddress, length, out host, out available, ref hit);
    }

    /// <summary>The same, and tells the region; <paramref name="hit"/> stays when there is none, or pages are to come.</summary>
    internal bool TryTranslate(ulong guestAddress, ulong length, out byte* host, out ulong available, ref AddressRange hit)
    {
        int index = _guest.Find(guestAddress);
        if (index < 0)
        {
            host = null;
            available = 0;
            return false;
        }

        AddressRange range = _guest[index];
        ulong offset = guestAddress - range.Start;
        host = range.Host + offset;
        available = Math.Min(length, range.Size - offset);
        if (AwaitsPages)
        {
            Fetch(host, available);
            return true;
        }

        hit = range;
        return true;
    }

    /// <summary>The guest-physical address of a byte that the front-end names by its own address. Not for the hot path.</summary>
    /// <returns>False when no region holds it.</returns>
    internal bool TryToGuestAddress(ulong userAddress, out ulong guestAddress)
    {
        foreach (MemoryRegion region in _regions)
        {
            // An address below the start becomes an offset beyond every size.
            ulong offset = userAddress - region.Layout.UserAddress;
            if (offset < region.Layout.Size)
            {
                guestAddress = region.Layout.GuestAddress + offset;
                return true;
            }
        }

        guestAddress = 0;
        return false;
    }

    /// <summary>Finds the region that holds one of the front-end's own addresses.</summary>
    /// <param name="userAddress">The address.</param>
    /// <param name="region">The region by the front-end's addresses.</param>
    internal bool TryFindUser(ulong userAddress, out AddressRange region)
    {
        int index = _user.Find(userAddress);
        region = index < 0 ? default : _user[index];
        return index >= 0;
    }

    /// <summary>
    /// Translates a range of the front-end's own addresses, as rings are given in. The whole range must be in one piece in
    /// this process: within one region, or over regions that happen to follow each other here as they do there.
    /// </summary>
    internal bool TryTranslateUser(ulong userAddress, ulong length, out byte* host)
    {
        host = null;
        int index = _user.Find(userAddress);
        if (index < 0)
        {
            return false;
        }

        AddressRange range = _user[index];
        ulong offset = userAddress - range.Start;
        ulong covered = range.Size - offset;
        byte* first = range.Host + offset;
        while (covered < length)
        {
            AddressRange before = range;
            if (++index == _user.Count
                || _user[index].Start != before.Start + before.Size
                || _user[index].Host != before.Host + before.Size)
            {
                return false;
            }

            range = _user[index];
            covered += range.Size;
        }

        host = first;
        Fetch(host, length);
        return true;
    }

    /// <summary>Waits until the pages of a range are here; it may pass the end of a region.</summary>
    internal void Fetch(byte* host, ulong length)
    {
        foreach (FaultWindow window in _windows)
        {
            window.Fetch(host, length);
        }
    }

    /// <summary>Looks at every region, once per fault anywhere in the process.</summary>
    private bool LookForFaults(long faults)
    {
        if (Array.Exists(_regions, region => region.Faulted))
        {
            _faulted = true;
        }

        Volatile.Write(ref _faultsSeen, faults); // after _faulted: who sees the number sees what was found
        return _faulted;
    }

    /// <summary>A snapshot with its own references to regions and windows, all of which somebody else holds meanwhile.</summary>
    private GuestMemory Share(MemoryRegion[] regions, FaultWindow[] windows)
    {
        Retain();
        try
        {
            GuestMemory built = Build(regions, regions.Length == 0 ? [] : windows);
            Array.ForEach(regions, region => region.Retain());
            Array.ForEach(built._windows, window => window.Retain());
            return built;
        }
        finally
        {
            Release();
        }
    }

    private static GuestMemory Build(MemoryRegion[] regions, FaultWindow[] windows) => regions.Length == 0
        ? Empty
        : new GuestMemory(
            regions,
            windows,
            AddressMap.Of(regions, layout => layout.GuestAddress, "guest addresses"),
            AddressMap.Of(regions, layout => layout.UserAddress, "user addresses"));
}
