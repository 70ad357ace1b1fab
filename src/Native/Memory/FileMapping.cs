using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Memory;

/// <summary>
/// One range of a shared file in this process, readable and writable. The range may begin anywhere; what is mapped is the
/// pages (or huge pages) around it.
/// </summary>
/// <remarks>
/// Layout:
/// <code>
///   reserved   Base             Host                        Host + size        Base + Length   end of what is reserved
///   | guard    | page-aligned   | first byte of the range   | end of the range | guard         |
/// </code>
/// The guards may not be touched: a step past the mapping ends in a fault (a system call's in EFAULT), and never in the
/// memory of another guest.
/// Owner: whoever mapped it. Thread-safe to read; <see cref="Dispose"/> once, when nobody holds a pointer into it any more.
/// It has no finalizer on purpose: pointers are held where the collector does not see them.
/// </remarks>
internal sealed unsafe class FileMapping : IDisposable
{
    private readonly GuardedRange _reserved;
    private SigbusSlot* _slot; // null when there is no guard, and after Dispose
    private bool _faulted;
    private bool _disposed;

    private FileMapping(GuardedRange reserved, byte* start, ulong length, ulong before, ulong pageSize, SigbusSlot* slot)
    {
        _reserved = reserved;
        Base = start;
        Length = length;
        PageSize = pageSize;
        _slot = slot;
        Host = start + before;
    }

    /// <summary>The range's first byte.</summary>
    internal byte* Host { get; }

    /// <summary>The first byte of the first page.</summary>
    internal byte* Base { get; }

    /// <summary>Bytes of all pages.</summary>
    internal ulong Length { get; }

    /// <summary>Bytes of a page, or of a huge page.</summary>
    internal ulong PageSize { get; }

    /// <summary>True once a page of it has vanished.</summary>
    internal bool Faulted
    {
        get
        {
            SigbusSlot* slot = _slot;
            return slot == null ? _faulted : Volatile.Read(ref slot->Faulted) != 0;
        }
    }

    /// <summary>Maps a range of a file after having made sure that the file holds it.</summary>
    /// <param name="file">Borrowed during the call; the mapping keeps the file, not the descriptor.</param>
    /// <param name="offset">The range's first byte in the file; need not be aligned.</param>
    /// <param name="size">Bytes; not zero.</param>
    /// <param name="reason">Why it cannot be mapped, when the result is null.</param>
    internal static FileMapping? TryMap(OwnedFd file, ulong offset, ulong size, out string? reason)
    {
        if (size == 0)
        {
            reason = "the size is zero";
            return null;
        }

        if (offset > ulong.MaxValue - size)
        {
            reason = "offset plus size wraps around";
            return null;
        }

        using FdLease lease = file.Lease();
        BackingFile backing = BackingFile.Inspect(lease.Number, offset + size, out reason);
        return reason is null ? MapPages(lease.Number, offset, size, backing.PageSize, out reason) : null;
    }

    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            if (_slot != null)
            {
                _faulted = SigbusGuard.Unregister(_slot);
                _slot = null;
            }

            _reserved.Release();
        }
    }

    /// <summary>
    /// The sums cannot overflow: offset + size is at most the file's length, which is a positive <c>off_t</c>. No swap is
    /// reserved (MAP_NORESERVE), because a virtio-mem region on huge pages is far larger than what is plugged in.
    /// </summary>
    private static FileMapping? MapPages(int fd, ulong offset, ulong size, ulong pageSize, out string? reason)
    {
        ulong before = offset % pageSize;
        ulong length = (before + size + pageSize - 1) / pageSize * pageSize;
        reason = WhyNotMappable(fd, offset - before, length);
        if (reason is not null
            || GuardedRange.TryReserve(length, offset - before, pageSize, out byte* start, out reason) is not { } reserved)
        {
            return null;
        }

        IoResult mapped = Map(start, length, MemoryCalls.MapFixed, fd, offset - before);
        if (!mapped.Ok)
        {
            // Not given back: older kernels have emptied the place by then, and another thread may have mapped something into it.
            reason = "mmap: " + Errno.Describe(mapped.Error);
            return null;
        }

        // Niceties, so their failure is of no interest: no guest memory in core dumps, no page tables copied by fork.
        MemoryCalls.Advise(start, length, MemoryCalls.AdviseDontDump);
        MemoryCalls.Advise(start, length, MemoryCalls.AdviseDontFork);
        SigbusSlot* slot = SigbusGuard.Register(start, length, pageSize);
        if (slot == null && SigbusGuard.Problem is null)
        {
            reserved.Release();
            reason = "too many mappings to guard";
            return null;
        }

        return new FileMapping(reserved, start, length, before, pageSize, slot);
    }

    /// <summary>
    /// Tries it where the kernel likes. A file that the kernel does not map is so found out before a place of ours is at stake.
    /// </summary>
    private static string? WhyNotMappable(int fd, ulong offset, ulong length)
    {
        IoResult tried = Map(null, length, 0, fd, offset);
        if (!tried.Ok)
        {
            return "mmap: " + Errno.Describe(tried.Error);
        }

        MemoryCalls.Unmap((byte*)tried.Count, length).OrThrow("munmap");
        return null;
    }

    private static IoResult Map(byte* address, ulong length, int placing, int fd, ulong offset) => MemoryCalls.Map(
        address,
        length,
        MemoryCalls.ProtectRead | MemoryCalls.ProtectWrite,
        MemoryCalls.MapShared | MemoryCalls.MapNoReserve | placing,
        fd,
        offset);
}
