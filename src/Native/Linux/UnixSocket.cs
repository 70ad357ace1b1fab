using System.Runtime.InteropServices;
using System.Text;

namespace Ringmaster.Native.Linux;

/// <summary>Unix stream sockets: non-blocking, close-on-exec.</summary>
public static unsafe partial class UnixSocket
{
    /// <summary>The longest path of a socket, in bytes (the kernel's 108 less the closing zero).</summary>
    public const int MaxPathLength = 107;

    internal const int AF_UNIX = 1;
    private const int SOCK_STREAM = 1;
    private const int SOCK_NONBLOCK = 0x800;
    private const int SOCK_CLOEXEC = 0x80000;
    private const int SOL_SOCKET = 1;
    private const int SO_ACCEPTCONN = 30;
    private const int SO_DOMAIN = 39;
    private const int SO_TYPE = 3;
    private const int POLLHUP = 0x10;
    private const int SHUT_RDWR = 2;

    /// <summary>Connects to a listening socket.</summary>
    /// <exception cref="LinuxException">ENOENT, ECONNREFUSED (nobody listens), EAGAIN (too many wait), ...</exception>
    /// <exception cref="ArgumentException">The path is empty or too long.</exception>
    public static OwnedFd Connect(string path)
    {
        IoResult result = TryConnect(path, out OwnedFd? socket);
        return socket ?? throw new LinuxException($"connect({path})", result.Error);
    }

    /// <summary>The same with the errno as a value. Never waits, but for the file system of the path.</summary>
    /// <param name="path">Where somebody should listen.</param>
    /// <param name="socket">The connection; null on failure. The caller's.</param>
    /// <exception cref="ArgumentException">The path is empty or too long.</exception>
    public static IoResult TryConnect(string path, out OwnedFd? socket)
    {
        IoResult result = Sys.Result(UnixSocket.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        socket = result.Ok ? new OwnedFd((int)result.Count) : null;
        if (socket is null)
        {
            return result;
        }

        result = Connect(socket, path);
        if (!result.Ok)
        {
            socket.Dispose();
            socket = null;
        }

        return result;
    }

    /// <summary>True when the other end of a connection is closed.</summary>
    internal static bool PeerIsGone(OwnedFd socket)
    {
        // struct pollfd: fd at 0, what is asked for at 4 (nothing: a hang-up is told in any case), what has happened at 6.
        using FdLease lease = socket.Lease();
        ulong entry = (uint)lease.Number;
        Sys.Result(poll(&entry, 1, 0)).OrThrow("poll");
        return ((entry >> 48) & POLLHUP) != 0;
    }

    /// <summary>
    /// Ends a connection for both ends, whoever else holds a descriptor of it. What was sent can still be read.
    /// </summary>
    internal static IoResult Shutdown(OwnedFd socket)
    {
        using FdLease lease = socket.Lease();
        return Sys.Result(shutdown(lease.Number, SHUT_RDWR));
    }

    /// <summary>Two sockets connected to each other.</summary>
    /// <exception cref="LinuxException">No descriptor is left.</exception>
    public static (OwnedFd First, OwnedFd Second) Pair()
    {
        int* fds = stackalloc int[2];
        Sys.Result(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds)).OrThrow("socketpair");
        return (new OwnedFd(fds[0]), new OwnedFd(fds[1]));
    }

    /// <summary>True for a Unix stream socket that listens; false for anything else.</summary>
    public static bool IsListening(OwnedFd fd)
    {
        using FdLease lease = fd.Lease();
        return IsStream(lease.Number) && Accepts(lease.Number);
    }

    /// <summary>True for a Unix stream socket that does not listen; false for anything else.</summary>
    public static bool IsConnection(OwnedFd fd)
    {
        using FdLease lease = fd.Lease();
        return IsStream(lease.Number) && !Accepts(lease.Number);
    }

    /// <summary>True for a listening socket of any family.</summary>
    internal static bool Accepts(int fd) => Option(fd, SO_ACCEPTCONN) == 1;

    internal static OwnedFd Create() =>
        new((int)Sys.Result(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)).OrThrow("socket(AF_UNIX)"));

    internal static IoResult Connect(OwnedFd socket, string path)
    {
        byte* address = stackalloc byte[AddressSize];
        FillAddress(path, address);
        using FdLease lease = socket.Lease();
        return Sys.Result(connect(lease.Number, address, AddressSize));
    }

    internal static IoResult Bind(OwnedFd socket, string path)
    {
        byte* address = stackalloc byte[AddressSize];
        FillAddress(path, address);
        using FdLease lease = socket.Lease();
        return Sys.Result(bind(lease.Number, address, AddressSize));
    }

    internal static IoResult Listen(OwnedFd socket, int backlog)
    {
        using FdLease lease = socket.Lease();
        return Sys.Result(listen(lease.Number, backlog));
    }

    internal static IoResult Accept(OwnedFd listening)
    {
        using FdLease lease = listening.Lease();
        IoResult result;
        do
        {
            result = Sys.Result(accept4(lease.Number, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC));
        }
        while (result.Error == Errno.EINTR);
        return result;
    }

    /// <summary>C's <c>struct sockaddr_un</c>: family u16 at 0, path from 2, 110 bytes.</summary>
    private const int AddressSize = 2 + MaxPathLength + 1;

    private static void FillAddress(string path, byte* address)
    {
        int length = Encoding.UTF8.GetByteCount(path);
        if (length is 0 or > MaxPathLength || path.Contains('\0'))
        {
            throw new ArgumentException($"a socket's path has 1 to {MaxPathLength} bytes, '{path}' has {length}", nameof(path));
        }

        var bytes = new Span<byte>(address, AddressSize);
        bytes.Clear();
        *(ushort*)address = AF_UNIX;
        Encoding.UTF8.GetBytes(path, bytes[2..]);
    }

    private static bool IsStream(int fd) => Option(fd, SO_DOMAIN) == AF_UNIX && Option(fd, SO_TYPE) == SOCK_STREAM;

    private static int? Option(int fd, int option)
    {
        int value = 0;
        uint size = sizeof(int);
        return Sys.Result(getsockopt(fd, SOL_SOCKET, option, &value, &size)).Ok ? value : null;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int poll(ulong* entries, nuint count, int timeoutMilliseconds);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int domain, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socketpair(int domain, int type, int protocol, int* fds);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int connect(int fd, byte* address, uint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int bind(int fd, byte* address, uint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int listen(int fd, int backlog);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int accept4(int fd, byte* address, uint* length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int shutdown(int fd, int how);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getsockopt(int fd, int level, int option, int* value, uint* length);
}
