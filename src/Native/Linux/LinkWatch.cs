using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Ringmaster.Native.Linux;

/// <summary>
/// Tells that the kernel has said something about one network interface: that it went up or down, lost its carrier, was
/// changed or removed. What it is like now is asked of <see cref="Rtnetlink"/>, away from the loop: such a question waits for
/// the kernel's rtnl lock, and this does not.
/// </summary>
/// <remarks>
/// The kernel tells every listener about every interface; a filter in the socket keeps the others' messages away, or each of
/// many devices would wake for each of all the others.
/// </remarks>
internal sealed unsafe partial class LinkWatch : IDisposable
{
    private const int AF_NETLINK = 16;
    private const int SOCK_RAW = 3;
    private const int SOCK_NONBLOCK = 0x800;
    private const int SOCK_CLOEXEC = 0x80000;
    private const int SOL_SOCKET = 1;
    private const int SO_ATTACH_FILTER = 26;
    private const uint RTMGRP_LINK = 1;

    // Classic BPF, linux/bpf_common.h: load a word at an offset, compare it, return how many bytes to keep.
    private const ushort LoadWord = 0x20;
    private const ushort JumpIfEqual = 0x15;
    private const ushort Return = 0x06;

    private readonly Lock _gate = new();
    private readonly OwnedFd _socket;
    private readonly Action _onChange;
    private readonly Readiness _readiness;
    private bool _disposed;

    /// <summary>Begins to listen in the calling thread's network namespace.</summary>
    /// <param name="index">The interface.</param>
    /// <param name="loop">Where to listen.</param>
    /// <param name="onChange">Called on the loop's thread; several changes may become one call. Must not block.</param>
    /// <exception cref="LinuxException">No descriptor is left.</exception>
    internal LinkWatch(int index, ReadinessLoop loop, Action onChange)
    {
        _onChange = onChange;
        _socket = Open(index);
        _readiness = loop.Register(_socket, OnReadable);
        _readiness.Arm();
    }

    /// <summary>Ends the watch; one call that is under way may still come.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
        }

        _readiness.Dispose();
        _socket.Dispose();
    }

    private static OwnedFd Open(int index)
    {
        int flags = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
        var fd = new OwnedFd((int)Sys.Result(socket(AF_NETLINK, flags, 0)).OrThrow("socket(AF_NETLINK)"));
        try
        {
            // In this order, so that nothing comes unfiltered.
            KeepOnly(fd, index);
            var address = new Address { Family = AF_NETLINK, Groups = RTMGRP_LINK };
            Sys.Result(bind(fd.Number, &address, (uint)sizeof(Address))).OrThrow("bind(RTMGRP_LINK)");
            return fd;
        }
        catch (LinuxException)
        {
            fd.Dispose();
            throw;
        }
    }

    /// <summary>Lets only messages about one interface into the socket: its index follows the header, family and type.</summary>
    private static void KeepOnly(OwnedFd fd, int index)
    {
        // The filter loads in network order what the kernel wrote in the machine's, which is little-endian.
        Span<Instruction> program =
        [
            new Instruction { Code = LoadWord, Value = NetlinkMessage.HeaderSize + sizeof(int) },
            new Instruction { Code = JumpIfEqual, SkipUnless = 1, Value = BinaryPrimitives.ReverseEndianness((uint)index) },
            new Instruction { Code = Return, Value = uint.MaxValue },
            new Instruction { Code = Return, Value = 0 },
        ];
        fixed (Instruction* instructions = program)
        {
            var filter = new Filter { Length = (ushort)program.Length, Instructions = instructions };
            Sys.Result(setsockopt(fd.Number, SOL_SOCKET, SO_ATTACH_FILTER, &filter, (uint)sizeof(Filter)))
                .OrThrow("setsockopt(SO_ATTACH_FILTER)");
        }
    }

    private void OnReadable()
    {
        bool changed;
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            changed = Drain();
            _readiness.Arm();
        }

        if (changed)
        {
            _onChange();
        }
    }

    /// <summary>Throws away all there is. True when there was something, or something was missed.</summary>
    private bool Drain()
    {
        using FdLease lease = _socket.Lease();
        bool named = false;
        while (true)
        {
            // A read takes one message whole, however little of it is wanted.
            byte any;
            IoResult result = Sys.Read(lease.Number, &any, sizeof(byte));
            if (result.WouldBlock)
            {
                return named;
            }

            // Messages were lost (ENOBUFS): what they said is asked for. Other errors do not come from a netlink socket.
            named = true;
            if (!result.Ok && result.Error != Errno.ENOBUFS)
            {
                return named;
            }
        }
    }

    /// <summary>C's <c>struct sockaddr_nl</c>: family u16, padding, port u32, groups u32.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Address
    {
        internal ushort Family;
        internal ushort Padding;
        internal uint Port;
        internal uint Groups;
    }

    /// <summary>C's <c>struct sock_filter</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Instruction
    {
        internal ushort Code;
        internal byte SkipIf;
        internal byte SkipUnless;
        internal uint Value;
    }

    /// <summary>C's <c>struct sock_fprog</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Filter
    {
        internal ushort Length;
        internal Instruction* Instructions;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int domain, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int bind(int fd, Address* address, uint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setsockopt(int fd, int level, int option, void* value, uint length);
}
