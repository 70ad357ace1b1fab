using System.Runtime.CompilerServices;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Memory;

/// <summary>
/// The log that live migration reads (SET_LOG_BASE): one bit for each 4 KiB of guest-physical memory, set by whoever has
/// written there, fetched and cleared by the front-end while it goes on. Reference-counted; every member may be used from
/// any thread.
/// </summary>
/// <remarks>
/// Page p is bit <c>p &amp; 7</c> of byte <c>p &gt;&gt; 3</c> (vhost-user specification, "Migration"). Both machines that
/// Ringmaster runs on are little-endian, so that is bit <c>p &amp; 63</c> of the 64-bit word <c>p &gt;&gt; 6</c>, and
/// a word takes the marks of 64 pages in one atomic operation. Where the log begins in the middle of a word, the bits are counted
/// from the word's begin; the mapping begins no later, and an atomic OR leaves the neighbour's bits alone.
/// </remarks>
public sealed unsafe class DirtyLog
{
    private const int PageShift = 12;
    private readonly FileMapping _mapping;
    private readonly ulong* _words;
    private readonly int _skippedBits;
    private readonly ulong _pages;
    private ReferenceCount _references = new();

    private DirtyLog(FileMapping mapping, ulong size)
    {
        _mapping = mapping;
        Size = size;
        ulong misalignment = (ulong)mapping.Host & (sizeof(ulong) - 1);
        _words = (ulong*)(mapping.Host - misalignment);
        _skippedBits = (int)misalignment * 8;
        _pages = size * 8; // a mapping is far smaller than 2^61 bytes
    }

    /// <summary>Bytes of the log.</summary>
    public ulong Size { get; }

    /// <summary>True once a part of the log has vanished, see <see cref="GuestMemory.Faulted"/>: marks have been lost.</summary>
    public bool Faulted => _mapping.Faulted;

    /// <summary>Maps a log.</summary>
    /// <param name="size">Bytes; one for every 32 KiB of guest memory.</param>
    /// <param name="offset">Where it begins in the file.</param>
    /// <param name="file">Borrowed during the call.</param>
    /// <returns>A log whose one reference belongs to the caller.</returns>
    /// <exception cref="GuestMemoryException">It cannot be used, for example because the file is shorter.</exception>
    public static DirtyLog Map(ulong size, ulong offset, OwnedFd file)
    {
        FileMapping? mapping = FileMapping.TryMap(file, offset, size, out string? reason);
        return mapping is null
            ? throw new GuestMemoryException($"log size 0x{size:x} offset 0x{offset:x}: {reason}")
            : new DirtyLog(mapping, size);
    }

    /// <summary>Takes a reference. Only somebody who knows that one is held may call this.</summary>
    /// <exception cref="ObjectDisposedException">The last reference has gone.</exception>
    public void Retain() => _references.Retain(this);

    /// <summary>Gives a reference back; the last one unmaps the log.</summary>
    /// <exception cref="InvalidOperationException">More was released than retained.</exception>
    public void Release()
    {
        if (_references.Release())
        {
            _mapping.Dispose();
        }
    }

    /// <summary>Marks what was written, after it was written.</summary>
    /// <param name="guestAddress">Guest-physical address of the first byte.</param>
    /// <param name="length">Bytes; 0 marks nothing.</param>
    /// <returns>False when the log does not reach that far; what it does reach is marked.</returns>
    internal bool Mark(ulong guestAddress, ulong length)
    {
        if (length == 0)
        {
            return true;
        }

        ulong lastByte = length - 1 <= ulong.MaxValue - guestAddress ? guestAddress + (length - 1) : ulong.MaxValue;
        ulong first = guestAddress >> PageShift;
        ulong last = lastByte >> PageShift;
        if (first >= _pages)
        {
            return false;
        }

        // The data before the look at the bits: otherwise the front-end could clear a bit and copy the page between a look that
        // finds the bit set and the moment when the data gets to be seen.
        Interlocked.MemoryBarrier();
        MarkPages(first, Math.Min(last, _pages - 1));
        return last < _pages;
    }

    private void MarkPages(ulong first, ulong last)
    {
        ulong firstBit = first + (ulong)_skippedBits;
        ulong lastBit = last + (ulong)_skippedBits;
        ulong mask = ulong.MaxValue << (int)(firstBit & 63);
        for (ulong word = firstBit >> 6; word < lastBit >> 6; word++)
        {
            Set(ref _words[word], mask);
            mask = ulong.MaxValue;
        }

        Set(ref _words[lastBit >> 6], mask & (ulong.MaxValue >> (int)(~lastBit & 63)));
    }

    /// <summary>A word that has the bits already is not written to, so that the workers share its cache line.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Set(ref ulong word, ulong mask)
    {
        if ((Volatile.Read(ref word) & mask) != mask)
        {
            Interlocked.Or(ref word, mask);
        }
    }
}
