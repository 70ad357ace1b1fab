using System.Runtime.InteropServices;
using System.Text;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Driver.Load;

/// <summary>
/// The host's side of a load: sends one frame over and over into an interface of the calling thread's network namespace
/// (AF_PACKET, sendmmsg), past the queueing discipline. What the interface has no room for is dropped there and counted by
/// the kernel. One thread at a time.
/// </summary>
/// <remarks>
/// C's <c>struct mmsghdr</c> is 64 bytes: vectors pointer at 16, their number at 24. <c>struct sockaddr_ll</c> is 20 bytes:
/// family u16 at 0, protocol u16 at 2 (none: this socket receives nothing), interface s32 at 4.
/// </remarks>
internal sealed unsafe partial class FrameInjector : IDisposable
{
    /// <summary>Bytes of the virtio header before the frame: the kernel's own, which ends before the number of buffers.</summary>
    internal const int HeaderSize = VirtioNetHeader.LegacySize;

    /// <summary>The greatest number of frames that <see cref="Send"/> sends at once.</summary>
    internal const int MaxBurst = 64;

    private const int AF_PACKET = 17;
    private const int SOCK_RAW = 3;
    private const int SOCK_CLOEXEC = 0x80000;
    private const int SOL_PACKET = 263;
    private const int PACKET_VNET_HDR = 15;
    private const int PACKET_QDISC_BYPASS = 20;
    private const int MessageSize = 64;
    private const int VectorOffset = 16;
    private const int VectorCountOffset = 24;
    private const int AddressSize = 20;
    private const int InterfaceOffset = 4;

    private readonly OwnedFd _socket;
    private readonly FdLease _lease;
    private readonly byte* _messages;

    /// <param name="networkInterface">Where to send.</param>
    /// <param name="frame">What to send: a header (<see cref="WriteHeader"/>) and the frame.</param>
    /// <exception cref="LinuxException">There is no such interface, or CAP_NET_RAW is missing.</exception>
    internal FrameInjector(string networkInterface, ReadOnlySpan<byte> frame)
    {
        _messages = (byte*)NativeMemory.AllocZeroed((nuint)((MaxBurst * MessageSize) + sizeof(IoVec) + frame.Length));
        IoVec* vector = (IoVec*)(_messages + (MaxBurst * MessageSize));
        *vector = new IoVec { Base = (byte*)(vector + 1), Length = (nuint)frame.Length };
        frame.CopyTo(new Span<byte>(vector->Base, frame.Length));
        for (int i = 0; i < MaxBurst; i++)
        {
            *(IoVec**)(_messages + (i * MessageSize) + VectorOffset) = vector;
            *(nint*)(_messages + (i * MessageSize) + VectorCountOffset) = 1;
        }

        _socket = new OwnedFd((int)Sys.Result(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)).OrThrow("socket(AF_PACKET)"));
        _lease = _socket.Lease();
        Set(PACKET_QDISC_BYPASS, nameof(PACKET_QDISC_BYPASS));
        Set(PACKET_VNET_HDR, nameof(PACKET_VNET_HDR));
        Bind(networkInterface);
    }

    /// <summary>Writes the header before a frame.</summary>
    internal static void WriteHeader(Span<byte> bytes, VirtioNetHeader header)
    {
        Span<byte> whole = stackalloc byte[VirtioNetHeader.Size];
        header.Write(whole);
        whole[..HeaderSize].CopyTo(bytes);
    }

    /// <summary>Sends so many frames, or as many of them as there is room for.</summary>
    internal void Send(int frames) => _ = sendmmsg(_lease.Number, _messages, (uint)frames, 0);

    public void Dispose()
    {
        _lease.Dispose();
        _socket.Dispose();
        NativeMemory.Free(_messages);
    }

    private void Set(int option, string name)
    {
        int on = 1;
        Sys.Result(setsockopt(_lease.Number, SOL_PACKET, option, &on, sizeof(int))).OrThrow($"setsockopt({name})");
    }

    private void Bind(string networkInterface)
    {
        byte* address = stackalloc byte[AddressSize];
        new Span<byte>(address, AddressSize).Clear();
        *(ushort*)address = AF_PACKET;
        fixed (byte* name = Encoding.UTF8.GetBytes(networkInterface + "\0"))
        {
            *(uint*)(address + InterfaceOffset) = if_nametoindex(name);
        }

        // Number 0 is no interface: bind would take it for all of them.
        IoResult result = *(uint*)(address + InterfaceOffset) == 0
            ? new IoResult(-Errno.ENODEV)
            : Sys.Result(bind(_lease.Number, address, AddressSize));
        result.OrThrow($"bind({networkInterface})");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int domain, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setsockopt(int fd, int level, int option, void* value, uint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int bind(int fd, void* address, uint length);

    [LibraryImport("libc")]
    private static partial uint if_nametoindex(byte* name);

    [LibraryImport("libc")]
    private static partial int sendmmsg(int fd, void* messages, uint count, int flags);
}
