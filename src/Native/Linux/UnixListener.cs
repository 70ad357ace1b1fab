namespace Ringmaster.Native.Linux;

/// <summary>A listening Unix stream socket, at a path of its own or handed over by whoever started the process.</summary>
public sealed class UnixListener : IDisposable
{
    private const int Backlog = 16;

    private readonly string? _path;
    private readonly FileIdentity? _identity;

    private UnixListener(OwnedFd fd, string? path, FileIdentity? identity)
    {
        Fd = fd;
        _path = path;
        _identity = identity;
    }

    /// <summary>The listening socket; owned by this object.</summary>
    public OwnedFd Fd { get; }

    /// <summary>
    /// Listens at a path. A socket file that nobody listens on is replaced; one that somebody listens on, and
    /// anything that is no socket, stays.
    /// </summary>
    /// <exception cref="LinuxException">EADDRINUSE: the path is taken. Otherwise what bind said.</exception>
    /// <exception cref="ArgumentException">The path is empty or too long.</exception>
    public static UnixListener Bind(string path)
    {
        OwnedFd socket = UnixSocket.Create();
        try
        {
            IoResult result = UnixSocket.Bind(socket, path);
            if (result.Error == Errno.EADDRINUSE)
            {
                RemoveStale(path);
                result = UnixSocket.Bind(socket, path);
            }

            result.OrThrow($"bind({path})");
            FileIdentity? identity = FileIdentity.Of(path);
            UnixSocket.Listen(socket, Backlog).OrThrow($"listen({path})");
            return new UnixListener(socket, Path.GetFullPath(path), identity);
        }
        catch (Exception)
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Takes over a socket that listens already (<c>--fd=N</c>, socket activation). Its file is not ours to remove.
    /// </summary>
    /// <param name="listening">The socket; from here on owned by the listener. Made non-blocking.</param>
    /// <exception cref="ArgumentException">It is no listening Unix stream socket. It is still the caller's.</exception>
    public static UnixListener Adopt(OwnedFd listening)
    {
        if (!UnixSocket.IsListening(listening))
        {
            throw new ArgumentException($"{listening} is not a listening Unix stream socket", nameof(listening));
        }

        using FdLease lease = listening.Lease();
        Sys.SetNonBlocking(lease.Number, on: true).OrThrow("fcntl(F_SETFL)");
        return new UnixListener(listening, path: null, identity: null);
    }

    /// <summary>Takes one waiting connection; null when none waits (any more).</summary>
    /// <exception cref="LinuxException">EMFILE and the like: the connection still waits.</exception>
    public OwnedFd? TryAccept()
    {
        IoResult result = UnixSocket.Accept(Fd);
        return result.WouldBlock || result.Error == Errno.ECONNABORTED ? null : new OwnedFd((int)result.OrThrow("accept4"));
    }

    /// <summary>Stops listening, and removes the socket file if it is still the one made here.</summary>
    public void Dispose()
    {
        if (Fd.IsClosed)
        {
            return;
        }

        Fd.Dispose();
        if (_path is not null && _identity is not null && FileIdentity.Of(_path) == _identity)
        {
            File.Delete(_path);
        }
    }

    private static void RemoveStale(string path)
    {
        FileIdentity? found = FileIdentity.Of(path);
        if (found is not { } file)
        {
            return;
        }

        using OwnedFd probe = UnixSocket.Create();
        bool stale = file.IsSocket && UnixSocket.Connect(probe, path).Error == Errno.ECONNREFUSED;
        if (!stale)
        {
            string who = file.IsSocket ? "somebody listens there" : "it is not a socket";
            throw new LinuxException($"bind({path}), {who}", Errno.EADDRINUSE);
        }

        if (FileIdentity.Of(path) == found)
        {
            File.Delete(path);
        }
    }
}
