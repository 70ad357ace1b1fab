using System.Runtime.CompilerServices;

namespace Ringmaster.Native.Memory;

/// <summary>
/// Translates guest addresses through one memory table and remembers the region of the last hit, so that the usual case is
/// one subtraction and one comparison. A plain value for one thread; it borrows the table, which its owner retains. Another
/// table means another cache, so no pointer of the old one can survive in it. While pages of the table are still to come
/// (<see cref="GuestMemory.AwaitsPages"/>) nothing is remembered, so that each use goes the long way and fetches them.
/// </summary>
internal unsafe struct TranslationCache
{
    private readonly GuestMemory _memory;
    private AddressRange _last;

    internal TranslationCache(GuestMemory memory)
    {
        _memory = memory;
        _last = default; // size 0: holds no address
    }

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
    private bool TryOthers(ulong guestAddress, ulong length, out byte* host, out ulong available) =>
        _memory.TryTranslate(guestAddress, length, out host, out available, ref _last);

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
