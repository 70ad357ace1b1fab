using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Memory;

/// <summary>The calls of userfaultfd(2), with the layouts of linux/userfaultfd.h. Set-up paths only, but for the touch.</summary>
internal static unsafe partial class UserfaultCalls
{
    /// <summary>Only faults of user mode wait; those of system calls fail (Linux 5.11). Needs no privilege.</summary>
    internal const int UserModeOnly = 1;

    /// <summary>The version of the interface, in both directions of the handshake.</summary>
    internal const ulong Api = 0xaa;

    internal const nuint ApiRequest = 0xc018aa3f;
    internal const nuint RegisterRequest = 0xc020aa00;
    internal const nuint UnregisterRequest = 0x8010aa01;

    /// <summary>The mode of registration: touching a page that the file does not hold is a fault.</summary>
    internal const ulong ModeMissing = 1;

    /// <summary>The bit of UFFDIO_WAKE in what a registered range can do: who waits can be woken.</summary>
    internal const int WakeBit = 2;

    private const string C = "libc";
    private const int CloseOnExec = 0x80000;

    /// <summary>The number of the system call, which the C library has no function for.</summary>
    internal static nint Number => RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 323 : 282;

    /// <summary>Opens one; not yet usable.</summary>
    internal static IoResult Open(int flags) => Sys.Result(syscall(Number, flags | CloseOnExec | Sys.O_NONBLOCK));

    /// <summary>The handshake, with no feature asked for.</summary>
    internal static IoResult Handshake(int fd)
    {
        ApiArguments arguments = new() { Api = Api };
        return Sys.Result(ioctl(fd, ApiRequest, &arguments));
    }

    /// <summary>Registers a range.</summary>
    /// <returns>The ioctls that the range can do as bits, or the error.</returns>
    internal static IoResult Register(int fd, ulong start, ulong length)
    {
        RegisterArguments arguments = new() { Start = start, Length = length, Mode = ModeMissing };
        IoResult result = Sys.Result(ioctl(fd, RegisterRequest, &arguments));
        return result.Ok ? new IoResult((long)(arguments.Ioctls & long.MaxValue)) : result;
    }

    /// <summary>Takes a range out. Whoever waits for a page of it goes on, and finds zeros.</summary>
    internal static IoResult Unregister(int fd, ulong start, ulong length)
    {
        RangeArguments arguments = new() { Start = start, Length = length };
        return Sys.Result(ioctl(fd, UnregisterRequest, &arguments));
    }

    /// <summary>
    /// Reads one byte, by the C library: a thread that waits here for its page stands outside managed code, so that no garbage
    /// collection waits for it.
    /// </summary>
    internal static void Touch(byte* address)
    {
        byte local;
        memcpy(&local, address, 1);
    }

    [LibraryImport(C, SetLastError = true)]
    private static partial nint syscall(nint number, nint flags);

    [LibraryImport(C, SetLastError = true)]
    private static partial int ioctl(int fd, nuint request, void* arguments);

    [LibraryImport(C)]
    private static partial void* memcpy(void* to, void* from, nuint length);

    /// <summary>struct uffdio_api.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ApiArguments
    {
        internal ulong Api;
        internal ulong Features;
        internal ulong Ioctls;
    }

    /// <summary>struct uffdio_range.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct RangeArguments
    {
        internal ulong Start;
        internal ulong Length;
    }

    /// <summary>struct uffdio_register.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct RegisterArguments
    {
        internal ulong Start;
        internal ulong Length;
        internal ulong Mode;
        internal ulong Ioctls;
    }
}
