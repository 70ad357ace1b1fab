using System.Runtime.CompilerServices;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Memory;

/// <summary>
/// Translates the addresses in a ring through one memory table and remembers the range of the last hit, so that the usual case
/// is one subtraction and one comparison. A plain value for one thread; it borrows the table, which its owner retains. Another
/// table means another cache, so no pointer of the old one can survive in it. While pages of the table are still to come
/// (<see cref="GuestMemory.AwaitsPages"/>) nothing is remembered, so that each use goes the long way and fetches them.
/// </summary>
/// <remarks>
/// Behind an IOMMU the addresses go through the device's IOTLB first; that is asked on a miss of the last hit alone. Each
/// cache is for one kind of access, so that the last hit permits it. What the IOTLB does not know is noted in
/// <see cref="Missing"/>.
/// </remarks>
internal unsafe struct TranslationCache
{
    private readonly GuestMemory _memory;
    private readonly Iotlb? _iotlb;
    private readonly IotlbAccess _access;
    private AddressRange _last;

    /// <summary>A cache of guest-physical addresses.</summary>
    internal TranslationCache(GuestMemory memory)
    {
        _memory = memory;
        _last = default; // size 0: holds no address
    }

    /// <summary>A cache of IO virtual addresses, or of guest-physical ones where there is no IOTLB.</summary>
    internal TranslationCache(GuestMemory memory, Iotlb? iotlb, IotlbAccess access)
        : this(memory)
    {
        _iotlb = iotlb;
        _access = access;
    }

    /// <summary>The translation that the last failure was for want of; null when it failed for another reason.</summary>
    internal IotlbMiss? Missing { get; private set; }

    /// <inheritdoc cref="GuestMemory.TryTranslate(ulong, ulong, out byte*, out ulong)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryTranslate(ulong guestAddress, ulong length, out byte* host, out ulong available)
    {
        ulong offset = guestAddress - _last.Start; // an address below the start becomes an offset beyond every size
        if (offset < _last.Size)
        {
            ulong left = _last.Size - offset;
            host = _last.Host + offset;
            available = length < left ? length : left;
            return true;
        }

        return TryOthers(guestAddress, length, out host, out available);
    }

    /// <summary>Has the CPU fetch memory, if it lies in the region of the last hit. Only a hint.</summary>
    internal readonly void Prefetch(ulong guestAddress, uint length)
    {
        ulong offset = guestAddress - _last.Start;
        if (offset < _last.Size)
        {
            CpuCache.Prefetch(_last.Host + offset, length);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryOthers(ulong guestAddress, ulong length, out byte* host, out ulong available)
    {
        if (_iotlb is null)
        {
            return _memory.TryTranslate(guestAddress, length, out host, out available, ref _last);
        }

        host = null;
        available = 0;
        if (!TryFindRange(guestAddress, out AddressRange range))
        {
            return false;
        }

        ulong offset = guestAddress - range.Start;
        host = range.Host + offset;
        available = Math.Min(length, range.Size - offset);
        if (_memory.AwaitsPages)
        {
            _memory.Fetch(host, available);
            return true;
        }

        _last = range;
        return true;
    }

    /// <summary>Finds the part of a translation that lies in one region.</summary>
    private bool TryFindRange(ulong iova, out AddressRange range)
    {
        range = default;
        if (!_iotlb!.TryFind(iova, _access, out IotlbEntry entry))
        {
            Missing = new IotlbMiss(iova, _access | entry.Access);
            return false;
        }

        ulong user = entry.UserAddress + (iova - entry.Iova);
        if (!_memory.TryFindUser(user, out AddressRange region))
        {
            return false;
        }

        // From the later of both beginnings to the earlier of both ends.
        ulong before = Math.Min(iova - entry.Iova, user - region.Start);
        ulong after = Math.Min(entry.Size - (iova - entry.Iova), region.Size - (user - region.Start));
        range = new AddressRange(iova - before, before + after, region.Host + (user - region.Start - before));
        return true;
    }

    /// <summary>Copies guest memory, which may span regions, into a local buffer: read once, then check the copy.</summary>
    /// <returns>False when a byte of it is not mapped.</returns>
    internal bool TryRead(ulong guestAddress, void* destination, int length)
    {
        byte* to = (byte*)destination;
        while (length > 0)
        {
            if (!TryTranslate(guestAddress, (ulong)length, out byte* host, out ulong available))
            {
                return false;
            }

            Unsafe.CopyBlockUnaligned(to, host, (uint)available);
            to += available;
            guestAddress += available;
            length -= (int)available;
        }

        return true;
    }
}
