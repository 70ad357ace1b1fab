using System.Runtime.InteropServices;
using System.Text;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Tap;

/// <summary>
/// The ioctls of /dev/net/tun. Numbers from linux/if_tun.h, the same on x86-64 and arm64. C's <c>struct ifreq</c> is
/// 40 bytes: the name at 0, and here the flags u16 at 16.
/// </summary>
internal static unsafe partial class TunDevice
{
    internal const ushort IFF_TAP = 0x0002;
    internal const ushort IFF_NO_PI = 0x1000;
    internal const ushort IFF_VNET_HDR = 0x4000;
    internal const ushort IFF_MULTI_QUEUE = 0x0100;
    internal const ushort IFF_TUN_EXCL = 0x8000;

    internal const uint TUNSETIFF = 0x400454ca;
    internal const uint TUNSETPERSIST = 0x400454cb;
    internal const uint TUNSETOFFLOAD = 0x400454d0;
    internal const uint TUNGETIFF = 0x800454d2;
    internal const uint TUNSETVNETHDRSZ = 0x400454d8;
    internal const uint TUNSETQUEUE = 0x400454d9;

    internal const int RequestSize = 40;
    internal const int FlagsOffset = 16;

    private const ushort IFF_ATTACH_QUEUE = 0x0200;
    private const ushort IFF_DETACH_QUEUE = 0x0400;
    private const string DevicePath = "/dev/net/tun";
    private const int O_RDWR = 2;
    private const int O_CLOEXEC = 0x80000;

    /// <summary>Opens the device in the calling thread's network namespace: a queue that belongs to no interface yet.</summary>
    /// <exception cref="LinuxException">The device is missing or may not be opened.</exception>
    internal static OwnedFd Open()
    {
        IoResult result;
        fixed (byte* path = Encoding.UTF8.GetBytes(DevicePath + "\0"))
        {
            result = Sys.Result(open(path, O_RDWR | O_CLOEXEC | Sys.O_NONBLOCK));
        }

        string? hint = result.Error switch
        {
            Errno.ENOENT or Errno.ENODEV => "the kernel's tun module is not loaded: modprobe tun",
            Errno.EACCES or Errno.EPERM => "this user may not open the device",
            _ => null,
        };
        return result.Ok ? new OwnedFd((int)result.Count) : throw new LinuxException($"open({DevicePath})", result.Error, hint);
    }

    /// <summary>Makes the descriptor a queue of an interface, which is created if there is none.</summary>
    /// <param name="queue">From <see cref="Open"/>.</param>
    /// <param name="name">The interface's name; empty or with %d, the kernel chooses.</param>
    /// <param name="flags">IFF_TAP and so on.</param>
    /// <returns>The interface's name.</returns>
    internal static string Attach(OwnedFd queue, string name, ushort flags)
    {
        byte* request = stackalloc byte[RequestSize];
        var bytes = new Span<byte>(request, RequestSize);
        bytes.Clear();
        Encoding.UTF8.GetBytes(name, bytes[..TapOptions.MaxNameLength]);
        *(ushort*)(request + FlagsOffset) = flags;
        using FdLease lease = queue.Lease();
        IoResult result = Sys.Result(ioctl(lease.Number, TUNSETIFF, (nint)request));
        if (!result.Ok)
        {
            string? hint = result.Error switch
            {
                Errno.EPERM => Capability.Hint,
                Errno.EBUSY => "another process has it open",
                Errno.EINVAL => "an interface of that name exists and is not such a TAP",
                _ => null,
            };
            throw new LinuxException($"ioctl(TUNSETIFF, {name})", result.Error, hint);
        }

        return Encoding.UTF8.GetString(bytes[..bytes.IndexOf((byte)0)]);
    }

    /// <summary>Sets the length of the header before every frame, for all queues.</summary>
    internal static IoResult SetHeaderSize(OwnedFd queue, int bytes) => Control(queue, TUNSETVNETHDRSZ, (nint)(&bytes));

    /// <summary>Sets what may be left undone in frames read, for all queues.</summary>
    internal static IoResult SetOffloads(OwnedFd queue, TapOffloads offloads) => Control(queue, TUNSETOFFLOAD, (nint)offloads);

    /// <summary>Sets whether the interface stays when its last queue closes.</summary>
    internal static IoResult SetPersistent(OwnedFd queue, bool on) => Control(queue, TUNSETPERSIST, on ? 1 : 0);

    /// <summary>Lets the kernel give frames to this queue, or not.</summary>
    internal static IoResult SetAttached(OwnedFd queue, bool on)
    {
        byte* request = stackalloc byte[RequestSize];
        new Span<byte>(request, RequestSize).Clear();
        *(ushort*)(request + FlagsOffset) = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
        return Control(queue, TUNSETQUEUE, (nint)request);
    }

    /// <summary>Asks what interface a queue belongs to; EBADFD = it is detached, or there is none any more.</summary>
    internal static IoResult Look(OwnedFd queue)
    {
        byte* request = stackalloc byte[RequestSize];
        return Control(queue, TUNGETIFF, (nint)request);
    }

    private static IoResult Control(OwnedFd queue, uint operation, nint argument)
    {
        using FdLease lease = queue.Lease();
        return Sys.Result(ioctl(lease.Number, operation, argument));
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int open(byte* path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(int fd, nuint operation, nint argument);
}
