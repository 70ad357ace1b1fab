using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Memory;

/// <summary>A memfd as a front-end would share it, with a name of its own so that its mappings can be counted.</summary>
internal sealed unsafe partial class SharedFile : IDisposable
{
    internal const int SealSeal = 1;
    internal const int SealShrink = 2;
    internal const int SealGrow = 4;
    internal const int SealWrite = 8;
    internal const uint AllowSealing = 2;
    internal const uint HugePages = 4;
    internal const ulong Page = 4096;
    private const uint CloseOnExec = 1;
    private const int OpenCloseOnExec = 0x80000;
    private static int _count;
    private readonly string _name = $"shared-{Interlocked.Increment(ref _count)}-of-{Environment.ProcessId}";

    internal SharedFile(ulong length, uint flags = 0)
    {
        Fd = new OwnedFd((int)Sys.Result(memfd_create(_name, flags | CloseOnExec)).OrThrow("memfd_create"));
        Resize(length).OrThrow("ftruncate");
    }

    internal OwnedFd Fd { get; }

    /// <summary>How many mappings of this file the process has.</summary>
    internal int Mappings =>
        File.ReadLines("/proc/self/maps").Count(line => line.Contains($"/memfd:{_name} ", StringComparison.Ordinal));

    /// <summary>How many descriptors of this file the process has.</summary>
    internal int Descriptors => OpenFds.PointingTo(Fd);

    internal long Seals => WithFd(MemoryCalls.Seals).OrThrow("fcntl(F_GET_SEALS)");

    internal void AddSeals(int seals) => WithFd(fd => MemoryCalls.AddSeals(fd, seals)).OrThrow("fcntl(F_ADD_SEALS)");

    internal IoResult Resize(ulong length) => WithFd(fd => Sys.Result(ftruncate(fd, (long)length)));

    internal void Write(ulong offset, ReadOnlySpan<byte> bytes)
    {
        using FdLease lease = Fd.Lease();
        fixed (byte* first = bytes)
        {
            Sys.Result(pwrite(lease.Number, first, (nuint)bytes.Length, (long)offset)).OrThrow("pwrite");
        }
    }

    internal byte Read(ulong offset) => Read(offset, 1)[0];

    internal byte[] Read(ulong offset, int length)
    {
        byte[] bytes = new byte[length];
        using FdLease lease = Fd.Lease();
        fixed (byte* first = bytes)
        {
            Assert.Equal(length, Sys.Result(pread(lease.Number, first, (nuint)length, (long)offset)).Count);
        }

        return bytes;
    }

    /// <summary>A second descriptor of the file, opened with other flags.</summary>
    internal OwnedFd Reopen(int flags)
    {
        using FdLease lease = Fd.Lease();
        return Open($"/proc/self/fd/{lease.Number}", flags);
    }

    internal static OwnedFd Open(string path, int flags) =>
        new((int)Sys.Result(open(path, flags | OpenCloseOnExec)).OrThrow("open"));

    public void Dispose() => Fd.Dispose();

    private IoResult WithFd(Func<int, IoResult> call)
    {
        using FdLease lease = Fd.Lease();
        return call(lease.Number);
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int memfd_create(string name, uint flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ftruncate(int fd, long length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pread(int fd, byte* buffer, nuint length, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pwrite(int fd, byte* buffer, nuint length, long offset);
}
