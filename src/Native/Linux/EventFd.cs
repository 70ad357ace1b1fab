using System.Buffers.Binary;
using static Tmds.Linux.LibC;

namespace Ringmaster.Native.Linux;

/// <summary>An eventfd: a counter that a thread can sleep on. Non-blocking, close-on-exec.</summary>
public sealed class EventFd : IDisposable
{
    /// <summary>Makes one with the counter at zero.</summary>
    /// <exception cref="LinuxException">No descriptor is left.</exception>
    public EventFd()
    {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        Fd = new OwnedFd((int)Sys.Result(fd).OrThrow("eventfd"));
    }

    /// <summary>The descriptor; owned by this object.</summary>
    public OwnedFd Fd { get; }

    /// <summary>Adds one to the counter, which wakes whoever sleeps on it. Any thread.</summary>
    public void Signal()
    {
        using FdLease lease = Fd.Lease();
        Signal(lease.Number);
    }

    /// <summary>
    /// Writes a 1 to an eventfd of somebody else's, or to a pipe or socket that plays one. EAGAIN means: it is signalled
    /// already. Blocks only where the descriptor does.
    /// </summary>
    public static IoResult Signal(OwnedFd fd)
    {
        using FdLease lease = fd.Lease();
        return Signal(lease.Number);
    }

    /// <summary>Sets the counter to zero. Returns what it was; 0 when it was zero already.</summary>
    public ulong Drain()
    {
        using FdLease lease = Fd.Lease();
        return Drain(lease.Number);
    }

    /// <inheritdoc/>
    public void Dispose() => Fd.Dispose();

    /// <summary>
    /// Takes a signal from an eventfd of somebody else's, or from a pipe or socket that plays one, and never waits. A count of 0
    /// means: the other end is closed.
    /// </summary>
    internal static unsafe IoResult Take(int fd)
    {
        ulong signal;
        return Sys.ReadNow(fd, &signal, sizeof(ulong));
    }

    /// <summary>Writes a 1 to an eventfd (or to a pipe that plays one). EAGAIN means: it is signalled already.</summary>
    internal static unsafe IoResult Signal(int fd)
    {
        ulong one = 1;
        return Sys.Write(fd, &one, sizeof(ulong));
    }

    internal static unsafe ulong Drain(int fd)
    {
        byte* buffer = stackalloc byte[sizeof(ulong)];
        IoResult result = Sys.Read(fd, buffer, sizeof(ulong));
        return result.Count == sizeof(ulong)
            ? BinaryPrimitives.ReadUInt64LittleEndian(new ReadOnlySpan<byte>(buffer, sizeof(ulong)))
            : 0;
    }
}
