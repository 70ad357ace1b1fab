using System.Runtime.InteropServices;

namespace Ringmaster.Native.Memory;

/// <summary>
/// Which file systems memory may come from. A page fault on a file that another process or machine serves waits for that
/// process or machine, in the kernel, where no signal reaches: a front-end could park a worker thread that way for ever. So
/// those are refused, and so are the ones whose files are doors to hardware.
/// </summary>
internal static class FileSystem
{
    private const long HugeTlbFs = 0x958458f6;

    /// <summary>The unit in which a file of this descriptor's file system is mapped.</summary>
    internal static unsafe ulong PageSizeOf(int fd, out string? reason)
    {
        StatFs status = default;
        MemoryCalls.FileSystemStatus(fd, (byte*)&status).OrThrow("fstatfs");
        long type = status.Type & 0xffffffff;
        string? refused = NameOfRefused(type);
        reason = refused is null ? null : $"the file is on {refused}, where touching memory may wait for others";
        return type == HugeTlbFs ? (ulong)status.BlockSize : (ulong)Environment.SystemPageSize;
    }

    /// <summary>The magic numbers are those of linux/magic.h and of the file systems' own headers.</summary>
    private static string? NameOfRefused(long type) => type switch
    {
        0x65735546 => "FUSE or virtiofs",
        0x6969 => "NFS",
        0x517b or 0xff534d42 or 0xfe534d42 => "SMB",
        0x01021997 => "9P",
        0x00c36400 => "Ceph",
        0x5346414f or 0x6b414653 => "AFS",
        0x9fa0 => "procfs",
        0x62656572 => "sysfs",
        _ => null,
    };

    /// <summary>The first two members of <c>struct statfs</c>, the same on every 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct StatFs
    {
        [FieldOffset(0)]
        internal long Type;

        [FieldOffset(8)]
        internal long BlockSize;
    }
}
