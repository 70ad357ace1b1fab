using System.Collections.Immutable;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Memory;

/// <summary>One translation: IO virtual addresses to the front-end's own. Neither range wraps around.</summary>
/// <param name="Iova">The first address.</param>
/// <param name="Size">Bytes; at least 1.</param>
/// <param name="UserAddress">The front-end's address of the first byte.</param>
/// <param name="Access">What the device may do there.</param>
public readonly record struct IotlbEntry(ulong Iova, ulong Size, ulong UserAddress, IotlbAccess Access)
{
    internal ulong Last => Iova + (Size - 1);

    internal bool Overlaps(ulong first, ulong last) => first <= Last && Iova <= last;
}

/// <summary>
/// The translations that a front-end has given for a device behind an IOMMU. Immutable: each change is a new object, which the
/// workers receive by command, so that a hit takes no lock and an old translation is gone when they have all answered.
/// </summary>
/// <remarks>
/// It is a cache: what is not in it is asked for, so forgetting is always allowed. Entries are in ascending order and do not
/// overlap.
/// </remarks>
public sealed class Iotlb
{
    /// <summary>How many translations are kept; with one more, an old one is forgotten.</summary>
    public const int MaxEntries = 8192;

    private readonly ImmutableArray<IotlbEntry> _entries;

    private Iotlb(ImmutableArray<IotlbEntry> entries) => _entries = entries;

    /// <summary>Knows nothing.</summary>
    public static Iotlb Empty { get; } = new([]);

    /// <summary>How many translations there are.</summary>
    public int Count => _entries.Length;

    /// <summary>Adds a translation. What it says anew of addresses that were known replaces what was known.</summary>
    /// <param name="entry">The translation.</param>
    /// <param name="error">Why it is refused.</param>
    /// <returns>The changed table; null when the translation is refused: it wraps around, or contradicts one that has not been
    /// withdrawn.</returns>
    public Iotlb? Update(IotlbEntry entry, out string? error)
    {
        error = Check(entry);
        if (error is not null)
        {
            return null;
        }

        (int from, int to) = Overlapping(entry.Iova, entry.Last);
        for (int i = from; i < to; i++)
        {
            IotlbEntry known = _entries[i];
            if (known.UserAddress - known.Iova != entry.UserAddress - entry.Iova)
            {
                error = $"0x{entry.Iova:x} to 0x{entry.Last:x} is elsewhere already, and was not withdrawn";
                return null;
            }
        }

        ImmutableArray<IotlbEntry> kept = _entries.RemoveRange(from, to - from);
        if (kept.Length == MaxEntries)
        {
            // Any will do; the neighbour keeps the order of the rest.
            int victim = from == MaxEntries ? 0 : from;
            kept = kept.RemoveAt(victim);
            from -= victim < from ? 1 : 0;
        }

        return new Iotlb(kept.Insert(from, entry));
    }

    /// <summary>Withdraws every translation that has an address in a range, whole.</summary>
    /// <param name="first">The first address.</param>
    /// <param name="last">The last one.</param>
    public Iotlb Invalidate(ulong first, ulong last)
    {
        (int from, int to) = Overlapping(first, last);
        return from == to ? this : new Iotlb(_entries.RemoveRange(from, to - from));
    }

    /// <summary>The same translations as another object, so that whoever waits for one asks for it again.</summary>
    public Iotlb Renew() => new(_entries);

    /// <summary>Finds the translation of an address.</summary>
    internal bool TryFind(ulong iova, out IotlbEntry entry)
    {
        int index = FirstEndingAt(iova);
        bool found = index < _entries.Length && _entries[index].Iova <= iova;
        entry = found ? _entries[index] : default;
        return found;
    }

    /// <summary>Finds the translation of an address that permits an access.</summary>
    /// <param name="iova">The address.</param>
    /// <param name="access">The access.</param>
    /// <param name="entry">The translation; on failure the one that permits too little, or an empty one.</param>
    internal bool TryFind(ulong iova, IotlbAccess access, out IotlbEntry entry) =>
        TryFind(iova, out entry) && (entry.Access & access) == access;

    private static string? Check(IotlbEntry entry)
    {
        if (entry.Size == 0)
        {
            return "a translation of no bytes";
        }

        if (entry.Access is IotlbAccess.None or > IotlbAccess.ReadWrite)
        {
            return $"a translation for access {(byte)entry.Access}";
        }

        bool wraps = entry.Size - 1 > ulong.MaxValue - entry.Iova || entry.Size - 1 > ulong.MaxValue - entry.UserAddress;
        return wraps ? $"the translation at 0x{entry.Iova:x} wraps around" : null;
    }

    /// <summary>The entries that have an address in the range: from the first index up to, not including, the second.</summary>
    private (int From, int To) Overlapping(ulong first, ulong last)
    {
        int from = FirstEndingAt(first);
        int to = from;
        while (to < _entries.Length && _entries[to].Overlaps(first, last))
        {
            to++;
        }

        return (from, to);
    }

    /// <summary>The index of the first entry whose last address is not before this one; the count when there is none.</summary>
    private int FirstEndingAt(ulong address)
    {
        int low = 0;
        int high = _entries.Length;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (_entries[middle].Last < address)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }
}
