using System.Numerics;
using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Driver;

/// <content>The system calls that make and map memfds.</content>
public sealed unsafe partial class GuestRam
{
    private const int PROT_NONE = 0;
    private const int PROT_READ = 1;
    private const int PROT_WRITE = 2;
    private const int MAP_SHARED = 0x01;
    private const int MAP_PRIVATE = 0x02;
    private const int MAP_FIXED = 0x10;
    private const int MAP_ANONYMOUS = 0x20;
    private const int MAP_NORESERVE = 0x4000;
    private const uint MFD_CLOEXEC = 1;
    private const uint MFD_ALLOW_SEALING = 2;
    private const uint MFD_HUGETLB = 4;
    private const int MFD_HUGE_SHIFT = 26;
    private const int FALLOC_FL_KEEP_SIZE = 1;
    private const int FALLOC_FL_PUNCH_HOLE = 2;
    private const int F_ADD_SEALS = 1033;
    private const int F_GET_SEALS = 1034;

    /// <summary>Takes the pages of a region out of its memfd (a hole): they are gone for everybody who maps it.</summary>
    private static void PunchHole(OwnedFd file, MemoryRegionLayout region)
    {
        using FdLease lease = file.Lease();
        const int Mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
        Sys.Result(fallocate(lease.Number, Mode, (long)region.MmapOffset, (long)region.Size)).OrThrow("fallocate(PUNCH_HOLE)");
    }

    private static OwnedFd MakeFile(GuestRamOptions options, ulong size)
    {
        uint flags = MFD_CLOEXEC | (options.Sealable ? MFD_ALLOW_SEALING : 0);
        if (options.HugePageSize != 0)
        {
            flags |= MFD_HUGETLB | ((uint)BitOperations.Log2(options.HugePageSize) << MFD_HUGE_SHIFT);
        }

        var file = new OwnedFd((int)Sys.Result(memfd_create("guest-ram", flags)).OrThrow("memfd_create"));
        using FdLease lease = file.Lease();
        Sys.Result(ftruncate(lease.Number, (long)size)).OrThrow("ftruncate(guest memory)");
        return file;
    }

    private static byte* Map(void* address, nuint length, int protection, int flags, int fd, long offset)
    {
        nint mapped = mmap(address, length, protection, flags, fd, offset);
        return mapped == -1
            ? throw new LinuxException($"mmap({length} bytes of guest memory)", Marshal.GetLastPInvokeError())
            : (byte*)mapped;
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int memfd_create(string name, uint flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ftruncate(int fd, long length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fallocate(int fd, int mode, long offset, long length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int fd, int command, nint argument);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint mmap(void* address, nuint length, int protection, int flags, int fd, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int munmap(void* address, nuint length);
}
