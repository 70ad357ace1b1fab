using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Memory;

/// <summary>The system calls about mappings and the files behind them. Set-up paths only.</summary>
internal static unsafe partial class MemoryCalls
{
    internal const int ProtectNone = 0;
    internal const int ProtectRead = 1;
    internal const int ProtectWrite = 2;
    internal const int ProtectExecute = 4;
    internal const int MapShared = 0x01;
    internal const int MapPrivate = 0x02;
    internal const int MapFixed = 0x10;
    internal const int MapAnonymous = 0x20;
    internal const int MapNoReserve = 0x4000;
    internal const int AdviseDontFork = 10;
    internal const int AdviseNoHugePage = 15;
    internal const int AdviseDontDump = 16;

    private const string C = "libc";
    private const int GetFlags = 3;
    private const int AddSeal = 1033;
    private const int GetSeals = 1034;
    private const int AtEmptyPath = 0x1000;
    private const uint BasicStats = 0x7ff;

    /// <summary>Maps memory.</summary>
    /// <returns>The address as the count, or an errno. User addresses are positive as a long on every Linux.</returns>
    internal static IoResult Map(ulong length, int protection, int flags, int fd, ulong offset) =>
        Map(null, length, protection, flags, fd, offset);

    /// <summary>Maps memory at an address: with <see cref="MapFixed"/> there, in the place of what was mapped.</summary>
    /// <returns>The address as the count, or an errno.</returns>
    internal static IoResult Map(byte* address, ulong length, int protection, int flags, int fd, ulong offset) =>
        Sys.Result(mmap(address, (nuint)length, protection, flags, fd, (long)offset));

    internal static IoResult Unmap(byte* address, ulong length) => Sys.Result(munmap(address, (nuint)length));

    internal static IoResult Protect(byte* address, ulong length, int protection) =>
        Sys.Result(mprotect(address, (nuint)length, protection));

    internal static IoResult Advise(byte* address, ulong length, int advice) =>
        Sys.Result(madvise(address, (nuint)length, advice));

    internal static IoResult FileFlags(int fd) => Sys.Result(fcntl(fd, GetFlags, 0));

    internal static IoResult Seals(int fd) => Sys.Result(fcntl(fd, GetSeals, 0));

    internal static IoResult AddSeals(int fd, int seals) => Sys.Result(fcntl(fd, AddSeal, seals));

    /// <summary>statx of a descriptor: unlike <c>struct stat</c> it has one layout on every architecture.</summary>
    internal static IoResult Status(int fd, byte* buffer)
    {
        byte empty = 0;
        return Sys.Result(statx(fd, &empty, AtEmptyPath, BasicStats, buffer));
    }

    internal static IoResult FileSystemStatus(int fd, byte* buffer) => Sys.Result(fstatfs(fd, buffer));

    [LibraryImport(C, SetLastError = true)]
    private static partial nint mmap(void* address, nuint length, int protection, int flags, int fd, long offset);

    [LibraryImport(C, SetLastError = true)]
    private static partial int munmap(void* address, nuint length);

    [LibraryImport(C, SetLastError = true)]
    private static partial int mprotect(void* address, nuint length, int protection);

    [LibraryImport(C, SetLastError = true)]
    private static partial int madvise(void* address, nuint length, int advice);

    [LibraryImport(C, SetLastError = true)]
    private static partial int fcntl(int fd, int command, nint argument);

    [LibraryImport(C, SetLastError = true)]
    private static partial int statx(int directory, byte* path, int flags, uint mask, byte* buffer);

    [LibraryImport(C, SetLastError = true)]
    private static partial int fstatfs(int fd, byte* buffer);
}
