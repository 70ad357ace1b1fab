using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Memory;

/// <summary>Makes shared memory that stays as long as it is, whoever else gets it.</summary>
internal static partial class SealedFile
{
    private const uint CloseOnExec = 1;
    private const uint AllowSealing = 2;
    private const int SealSeal = 0x1;
    private const int SealShrink = 0x2;
    private const int SealGrow = 0x4;

    /// <summary>A memfd of zeros, sealed against shrinking, growing and further seals. Pages are taken when touched.</summary>
    /// <exception cref="LinuxException">There is no memory or descriptor left.</exception>
    internal static OwnedFd Create(string name, ulong length)
    {
        var file = new OwnedFd((int)Sys.Result(memfd_create(name, CloseOnExec | AllowSealing)).OrThrow("memfd_create"));
        try
        {
            using FdLease lease = file.Lease();
            Sys.Result(ftruncate(lease.Number, (long)length)).OrThrow("ftruncate");
            MemoryCalls.AddSeals(lease.Number, SealSeal | SealShrink | SealGrow).OrThrow("fcntl(F_ADD_SEALS)");
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int memfd_create(string name, uint flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ftruncate(int fd, long length);
}
