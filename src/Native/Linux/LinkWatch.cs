using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Ringmaster.Native.Linux;

/// <summary>
/// Tells that the kernel has said something about one network interface: that it went up or down, lost its carrier, was
/// changed or removed. What it is like now is asked of <see cref="Rtnetlink"/>, away from the loop: such a question waits for
/// the kernel's rtnl lock, and this does not.
/// </summary>
internal sealed unsafe partial class LinkWatch : IDisposable
{
    private const int AF_NETLINK = 16;
    private const int SOCK_RAW = 3;
    private const int SOCK_NONBLOCK = 0x800;
    private const int SOCK_CLOEXEC = 0x80000;
    private const uint RTMGRP_LINK = 1;
    private const int BufferSize = 32 * 1024;

    private readonly Lock _gate = new();
    private readonly OwnedFd _socket;
    private readonly int _index;
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
        _index = index;
        _onChange = onChange;
        _socket = Open();
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

    private static OwnedFd Open()
    {
        int flags = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
        var fd = new OwnedFd((int)Sys.Result(socket(AF_NETLINK, flags, 0)).OrThrow("socket(AF_NETLINK)"));
        var address = new Address { Family = AF_NETLINK, Groups = RTMGRP_LINK };
        IoResult bound = Sys.Result(bind(fd.Number, &address, (uint)sizeof(Address)));
        if (!bound.Ok)
        {
            fd.Dispose();
            bound.OrThrow("bind(RTMGRP_LINK)");
        }

        return fd;
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

    /// <summary>Reads all there is. True when the interface was named, or when something may have been missed.</summary>
    private bool Drain()
    {
        using FdLease lease = _socket.Lease();
        byte[] buffer = new byte[BufferSize];
        bool named = false;
        while (true)
        {
            fixed (byte* bytes = buffer)
            {
                IoResult result = Sys.Read(lease.Number, bytes, BufferSize);
                if (result.WouldBlock)
                {
                    return named;
                }

                // Messages were lost (ENOBUFS): what they said is asked for. Other errors do not come from a netlink socket.
                named |= !result.Ok || Names(buffer.AsSpan(0, (int)result.Count));
                if (!result.Ok && result.Error != Errno.ENOBUFS)
                {
                    return named;
                }
            }
        }
    }

    private bool Names(ReadOnlySpan<byte> messages)
    {
        while (messages.Length >= NetlinkMessage.HeaderSize + LinkInfo.BodySize)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(messages);
            if (length < NetlinkMessage.HeaderSize || length > messages.Length)
            {
                return true;
            }

            if (BinaryPrimitives.ReadInt32LittleEndian(messages[(NetlinkMessage.HeaderSize + sizeof(int))..]) == _index)
            {
                return true;
            }

            messages = messages[Math.Min(NetlinkMessage.Align(length), messages.Length)..];
        }

        return false;
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

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int domain, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int bind(int fd, Address* address, uint length);
}
