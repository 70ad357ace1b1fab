using System.Runtime.InteropServices;

namespace Ringmaster.Native.Memory;

/// <summary>The file types of <c>st_mode</c> (S_IFMT).</summary>
internal enum FileKind
{
    /// <summary>No type at all: eventfd, epoll, timerfd and the like.</summary>
    Anonymous = 0,
    Pipe = 0x1000,
    CharacterDevice = 0x2000,
    Directory = 0x4000,
    BlockDevice = 0x6000,
    Regular = 0x8000,
    SymbolicLink = 0xa000,
    Socket = 0xc000,
}

/// <summary>What statx says about an open descriptor, as far as mapping it is concerned.</summary>
/// <param name="Kind">The file type. A memfd and a hugetlbfs file are regular.</param>
/// <param name="Length">Bytes that the file holds.</param>
/// <param name="DeviceMajor">Major number of a device node.</param>
/// <param name="DeviceMinor">Minor number of a device node.</param>
internal readonly record struct FileStatus(FileKind Kind, ulong Length, uint DeviceMajor, uint DeviceMinor)
{
    private const int KindMask = 0xf000;

    internal string KindName => Kind switch
    {
        FileKind.Anonymous => "an eventfd, epoll or other anonymous inode",
        FileKind.Pipe => "a pipe",
        FileKind.CharacterDevice => "a character device",
        FileKind.Directory => "a directory",
        FileKind.BlockDevice => "a block device",
        FileKind.Regular => "a regular file",
        FileKind.SymbolicLink => "a symbolic link",
        FileKind.Socket => "a socket",
        _ => "of an unknown type",
    };

    internal static unsafe FileStatus Of(int fd)
    {
        Statx status = default;
        MemoryCalls.Status(fd, (byte*)&status).OrThrow("statx");
        return new FileStatus((FileKind)(status.Mode & KindMask), status.Size, status.DeviceMajor, status.DeviceMinor);
    }

    /// <summary>linux/stat.h, struct statx.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Statx
    {
        [FieldOffset(28)]
        internal ushort Mode;

        [FieldOffset(40)]
        internal ulong Size;

        [FieldOffset(128)]
        internal uint DeviceMajor;

        [FieldOffset(132)]
        internal uint DeviceMinor;
    }
}
