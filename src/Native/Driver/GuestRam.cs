using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Driver;

/// <summary>
/// Guest memory as the guest sees it: shared memory in memfds that a front-end hands to a back-end, mapped here at
/// (base + guest-physical address), so that adjacent pieces are adjacent for the driver too.
/// </summary>
/// <remarks>
/// Layout: one reservation (PROT_NONE) spans the lowest to the highest piece; each piece is mapped into it with
/// MAP_FIXED. Invariants: <c>_base</c> + guest address is inside the reservation for every address that
/// <see cref="Find"/> accepts; every public accessor goes through it, so holes are never touched. Not thread-safe as to
/// <see cref="Allocate"/>; the memory itself is shared with another process by purpose. After <see cref="Shrink"/> a
/// touch of the lost part raises SIGBUS in this process too.
/// </remarks>
public sealed unsafe partial class GuestRam : IDisposable
{
    private readonly byte* _reservation;
    private readonly nuint _reserved;
    private readonly ulong _lowest;
    private readonly ulong[] _next;
    private readonly MemoryRegionLayout[] _regions;
    private readonly List<OwnedFd> _files = [];
    private bool _disposed;

    /// <summary>Makes and maps the memory.</summary>
    /// <exception cref="LinuxException">Memory, descriptors or huge pages are lacking.</exception>
    public GuestRam(GuestRamOptions? options = null)
    {
        options ??= new GuestRamOptions();
        _regions = options.Layouts();
        _lowest = Regions[0].GuestAddress;
        _next = [.. Regions.Select(region => region.GuestAddress)];
        ulong alignment = Math.Max(options.HugePageSize, 4096);
        _reserved = (nuint)(Regions[^1].GuestAddress + Regions[^1].Size - _lowest + alignment);
        _reservation = Map(null, _reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        Base = (byte*)(((ulong)_reservation + alignment - 1) / alignment * alignment);
        try
        {
            MapPieces(options);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The regions, as SET_MEM_TABLE describes them.</summary>
    public IReadOnlyList<MemoryRegionLayout> Regions => _regions;

    /// <summary>Where <see cref="Regions"/>' lowest guest address is mapped.</summary>
    internal byte* Base { get; }

    /// <summary>The memfd that holds a region; owned by this object.</summary>
    public OwnedFd FileOf(int region) => _files[Math.Min(region, _files.Count - 1)];

    /// <summary>The front-end's virtual address of a guest-physical one.</summary>
    public ulong ToUser(ulong guestAddress)
    {
        MemoryRegionLayout region = Regions[Find(guestAddress, 1)];
        return guestAddress - region.GuestAddress + region.UserAddress;
    }

    /// <summary>Takes memory that nobody has taken before; it is never given back.</summary>
    /// <param name="size">Bytes.</param>
    /// <param name="alignment">A power of two.</param>
    /// <param name="region">From which region.</param>
    /// <returns>The guest-physical address.</returns>
    public ulong Allocate(ulong size, ulong alignment = 16, int region = 0)
    {
        ulong start = (_next[region] + alignment - 1) & ~(alignment - 1);
        ulong end = Regions[region].GuestAddress + Regions[region].Size;
        if (start > end || size > end - start)
        {
            throw new InvalidOperationException($"Region {region} has no {size} bytes left for the guest's rings and buffers.");
        }

        _next[region] = start + size;
        return start;
    }

    /// <summary>Bytes that <see cref="Allocate"/> can still give from a region.</summary>
    public ulong Unallocated(int region = 0) => Regions[region].GuestAddress + Regions[region].Size - _next[region];

    /// <summary>A window on guest memory. It may span adjacent regions. Valid until this object is disposed.</summary>
    public Span<byte> Bytes(ulong guestAddress, int length) => new(At(guestAddress, (ulong)length), length);

    /// <summary>Reads a little-endian value once (a volatile read, acquire).</summary>
    public ushort ReadU16(ulong guestAddress) => Volatile.Read(ref *(ushort*)At(guestAddress, 2));

    /// <summary>Reads a little-endian value once (a volatile read, acquire).</summary>
    public uint ReadU32(ulong guestAddress) => Volatile.Read(ref *(uint*)At(guestAddress, 4));

    /// <summary>Reads a little-endian value once (a volatile read, acquire).</summary>
    public ulong ReadU64(ulong guestAddress) => Volatile.Read(ref *(ulong*)At(guestAddress, 8));

    /// <summary>Writes a little-endian value at once (a volatile write, release).</summary>
    public void WriteU16(ulong guestAddress, ushort value) => Volatile.Write(ref *(ushort*)At(guestAddress, 2), value);

    /// <summary>Writes a little-endian value at once (a volatile write, release).</summary>
    public void WriteU32(ulong guestAddress, uint value) => Volatile.Write(ref *(uint*)At(guestAddress, 4), value);

    /// <summary>Writes a little-endian value at once (a volatile write, release).</summary>
    public void WriteU64(ulong guestAddress, ulong value) => Volatile.Write(ref *(ulong*)At(guestAddress, 8), value);

    /// <summary>Cuts the memfd of a region: the part beyond is gone for everybody who maps it.</summary>
    /// <param name="region">Which region.</param>
    /// <param name="bytesLeft">Bytes of the file that stay.</param>
    /// <returns>EPERM when the file is sealed against it.</returns>
    public IoResult Shrink(int region, ulong bytesLeft)
    {
        using FdLease lease = FileOf(region).Lease();
        return Sys.Result(ftruncate(lease.Number, (long)bytesLeft));
    }

    /// <summary>Takes all pages out, as on the machine that a guest is to come to; what they held goes to the caller.</summary>
    /// <returns>The content of each region.</returns>
    public IReadOnlyList<byte[]> Evict()
    {
        var contents = new List<byte[]>(_regions.Length);
        for (int i = 0; i < _regions.Length; i++)
        {
            contents.Add(Bytes(_regions[i].GuestAddress, (int)_regions[i].Size).ToArray());
            PunchHole(FileOf(i), _regions[i]);
        }

        return contents;
    }

    /// <summary>The seals that are on a region's memfd (F_SEAL_SEAL 1, SHRINK 2, GROW 4, WRITE 8).</summary>
    public int SealsOf(int region)
    {
        using FdLease lease = FileOf(region).Lease();
        return (int)Sys.Result(fcntl(lease.Number, F_GET_SEALS, 0)).OrThrow("fcntl(F_GET_SEALS)");
    }

    /// <summary>Adds seals to a region's memfd.</summary>
    public void Seal(int region, int seals)
    {
        using FdLease lease = FileOf(region).Lease();
        Sys.Result(fcntl(lease.Number, F_ADD_SEALS, seals)).OrThrow("fcntl(F_ADD_SEALS)");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        Sys.Result(munmap(_reservation, _reserved)).OrThrow("munmap");
        _files.ForEach(file => file.Dispose());
    }

    /// <summary>The mapped address of a guest range that lies in regions throughout.</summary>
    internal byte* At(ulong guestAddress, ulong length)
    {
        Find(guestAddress, length);
        return Base + (guestAddress - _lowest);
    }

    private int Find(ulong guestAddress, ulong length)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        for (int i = 0; i < _regions.Length; i++)
        {
            MemoryRegionLayout region = _regions[i];
            if (guestAddress < region.GuestAddress || guestAddress - region.GuestAddress >= region.Size)
            {
                continue;
            }

            ulong here = region.Size - (guestAddress - region.GuestAddress);
            if (length > here)
            {
                Find(region.GuestAddress + region.Size, length - here);
            }

            return i;
        }

        throw new ArgumentOutOfRangeException(nameof(guestAddress), $"No guest memory at 0x{guestAddress:x}.");
    }

    private void MapPieces(GuestRamOptions options)
    {
        int files = options.OneFile ? 1 : _regions.Length;
        for (int i = 0; i < files; i++)
        {
            MemoryRegionLayout last = options.OneFile ? Regions[^1] : _regions[i];
            _files.Add(MakeFile(options, last.MmapOffset + last.Size));
        }

        for (int i = 0; i < _regions.Length; i++)
        {
            MemoryRegionLayout region = _regions[i];
            using FdLease lease = FileOf(i).Lease();
            byte* at = Base + (region.GuestAddress - _lowest);
            Map(at, (nuint)region.Size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, lease.Number, (long)region.MmapOffset);
        }
    }
}
