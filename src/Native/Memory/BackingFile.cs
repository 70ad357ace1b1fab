using System.Globalization;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Memory;

/// <summary>
/// What a descriptor is good for as shared memory, found out before anything is mapped. Touching a page that the file
/// does not hold is SIGBUS, so the length is checked here, and where the file can be sealed it is sealed against shrinking
/// first: from then on the check cannot go stale.
/// </summary>
/// <param name="Length">Bytes that the file holds.</param>
/// <param name="PageSize">The unit of mapping: the huge page size on hugetlbfs, else the system's page.</param>
/// <param name="Shrinkable">False when F_SEAL_SHRINK is set: no later touch can find the file shorter.</param>
/// <remarks>
/// F_SEAL_SHRINK cannot be taken back and holds for every user of the file, the front-end too. It forbids ftruncate to less
/// and nothing else: punching holes (virtio-mem, balloon), growing, writing and further seals stay allowed. A front-end that
/// unplugs memory closes its file; one that meant to shrink it and reuse it gets EPERM, which is the price for knowing that
/// it cannot be pulled away under the rings. QEMU and cloud-hypervisor set the same seal themselves.
/// </remarks>
internal readonly record struct BackingFile(ulong Length, ulong PageSize, bool Shrinkable)
{
    private const int AccessModeMask = 3;
    private const int ReadWrite = 2;
    private const int PathOnly = 0x200000;
    private const int SealSeal = 0x1;
    private const int SealShrink = 0x2;
    private const int SealWrite = 0x8;
    private const int SealFutureWrite = 0x10;

    /// <summary>Looks at a descriptor; seals it where that is possible and it is long enough.</summary>
    /// <param name="fd">The descriptor, open during the call.</param>
    /// <param name="needed">How many bytes it must hold.</param>
    /// <param name="reason">Why it cannot be used; null when it can.</param>
    internal static BackingFile Inspect(int fd, ulong needed, out string? reason)
    {
        FileStatus status = FileStatus.Of(fd);
        reason = Unusable(fd, status);
        if (reason is not null)
        {
            return default;
        }

        if (status.Kind == FileKind.CharacterDevice)
        {
            return InspectDax(status, needed, out reason);
        }

        ulong pageSize = FileSystem.PageSizeOf(fd, out reason);
        reason ??= TooShort(status.Length, needed);
        if (reason is not null)
        {
            return default;
        }

        bool shrinkable = !SealAgainstShrinking(fd, out reason);
        ulong length = FileStatus.Of(fd).Length;
        reason ??= TooShort(length, needed);
        return new BackingFile(length, pageSize, shrinkable);
    }

    private static string? Unusable(int fd, FileStatus status)
    {
        if (status.Kind != FileKind.Regular && status.Kind != FileKind.CharacterDevice)
        {
            return $"the descriptor is {status.KindName}, not shared memory";
        }

        long flags = MemoryCalls.FileFlags(fd).OrThrow("fcntl(F_GETFL)");
        return (flags & PathOnly) == 0 && (flags & AccessModeMask) == ReadWrite
            ? null
            : "the descriptor is not open for reading and writing";
    }

    private static string? TooShort(ulong length, ulong needed) => length >= needed
        ? null
        : $"the file holds 0x{length:x} bytes, the region needs 0x{needed:x} of it";

    private static bool SealAgainstShrinking(int fd, out string? reason)
    {
        reason = null;
        IoResult seals = MemoryCalls.Seals(fd);
        if (!seals.Ok)
        {
            return false; // a file on disk or an old hugetlbfs: it has no seals
        }

        if ((seals.Count & (SealWrite | SealFutureWrite)) != 0)
        {
            reason = "the file is sealed against writing";
            return false;
        }

        return (seals.Count & SealShrink) != 0
            || ((seals.Count & SealSeal) == 0 && MemoryCalls.AddSeals(fd, SealShrink).Ok);
    }

    /// <summary>A device-dax node has no length of its own; sysfs knows it, and the alignment that its mappings need.</summary>
    private static BackingFile InspectDax(FileStatus status, ulong needed, out string? reason)
    {
        string node = string.Create(CultureInfo.InvariantCulture, $"/sys/dev/char/{status.DeviceMajor}:{status.DeviceMinor}");
        if (Path.GetFileName(new FileInfo(node + "/subsystem").ResolveLinkTarget(returnFinalTarget: true)?.FullName) != "dax")
        {
            reason = "the descriptor is a character device, not shared memory";
            return default;
        }

        ulong length = ReadNumber(node + "/size");
        ulong alignment = Math.Max(ReadNumber(node + "/align"), (ulong)Environment.SystemPageSize);
        reason = TooShort(length, needed);
        return new BackingFile(length, alignment, Shrinkable: false);
    }

    private static ulong ReadNumber(string path) =>
        ulong.TryParse(File.ReadAllText(path), NumberStyles.Integer, CultureInfo.InvariantCulture, out ulong value) ? value : 0;
}
