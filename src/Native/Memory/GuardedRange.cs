using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Memory;

/// <summary>
/// A stretch of this process's addresses that nobody may touch and nothing else is mapped into, with room for one mapping and
/// at least one page before and behind it.
/// </summary>
/// <remarks>Owner: whoever reserved it. It costs page tables for nothing but what is mapped into it.</remarks>
internal readonly unsafe struct GuardedRange
{
    /// <summary>Outside hugetlbfs a huge page can be mapped only where address and offset agree about its place.</summary>
    private const ulong TransparentHugePage = 2 << 20;

    private readonly byte* _start;
    private readonly ulong _length;

    private GuardedRange(byte* start, ulong length)
    {
        _start = start;
        _length = length;
    }

    private static ulong Guard => (ulong)Environment.SystemPageSize;

    /// <summary>Reserves addresses for a mapping of a file.</summary>
    /// <param name="length">Bytes of the mapping, a multiple of the page size.</param>
    /// <param name="offset">Where it begins in the file, a multiple of the page size.</param>
    /// <param name="pageSize">The unit of mapping, a power of two.</param>
    /// <param name="place">Where to map it, with MAP_FIXED.</param>
    /// <param name="reason">Why there are no addresses, when the result is null.</param>
    internal static GuardedRange? TryReserve(ulong length, ulong offset, ulong pageSize, out byte* place, out string? reason)
    {
        ulong alignment = Math.Max(pageSize, length >= TransparentHugePage ? TransparentHugePage : Guard);
        ulong reserved = length + alignment + (2 * Guard);
        IoResult mapped = MemoryCalls.Map(
            reserved,
            MemoryCalls.ProtectNone,
            MemoryCalls.MapPrivate | MemoryCalls.MapAnonymous | MemoryCalls.MapNoReserve,
            -1,
            0);
        if (!mapped.Ok)
        {
            place = null;
            reason = "mmap: " + Errno.Describe(mapped.Error);
            return null;
        }

        byte* start = (byte*)mapped.Count;
        place = start + Guard;
        place += (offset - (ulong)place) & (alignment - 1);
        reason = null;
        return new GuardedRange(start, reserved);
    }

    /// <summary>Unmaps all of it, and what was mapped into it.</summary>
    internal void Release() => MemoryCalls.Unmap(_start, _length).OrThrow("munmap");
}
