using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Tests.Support;

/// <summary>What descriptors this process has open, as /proc/self/fd shows them.</summary>
internal static class OpenFds
{
    /// <summary>
    /// How many descriptors point to one file. Counting one file of the test's own is immune to what other tests open
    /// and close meanwhile.
    /// </summary>
    /// <param name="fd">Stands for the file.</param>
    internal static int PointingTo(OwnedFd fd)
    {
        using FdLease lease = fd.Lease();
        string file = Target(lease.Number) ?? throw new InvalidOperationException($"fd {lease.Number} is closed");
        return Directory.EnumerateFileSystemEntries("/proc/self/fd").Count(entry => LinkTarget(entry) == file);
    }

    /// <summary>What a descriptor points to, for example <c>socket:[1234]</c>; null when it is closed.</summary>
    internal static string? Target(int fd) => LinkTarget($"/proc/self/fd/{fd}");

    private static string? LinkTarget(string entry)
    {
        try
        {
            FileSystemInfo? target = File.ResolveLinkTarget(entry, returnFinalTarget: false);
            return target is null ? null : Path.GetFileName(target.FullName);
        }
        catch (IOException)
        {
            // Closed by another test between the listing and the look.
            return null;
        }
    }
}
