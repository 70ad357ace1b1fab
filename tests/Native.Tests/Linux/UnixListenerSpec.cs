using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Tests.Linux;

public sealed class UnixListenerSpec : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("rm-").FullName;

    private string SocketPath => Path.Combine(_folder, "s");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Connections_are_taken_one_by_one_without_waiting()
    {
        using var listener = UnixListener.Bind(SocketPath);
        Assert.True(UnixSocket.IsListening(listener.Fd));
        Assert.Null(listener.TryAccept());

        using OwnedFd first = UnixSocket.Connect(SocketPath);
        using OwnedFd second = UnixSocket.Connect(SocketPath);
        using OwnedFd? firstServed = listener.TryAccept();
        using OwnedFd? secondServed = listener.TryAccept();
        Assert.NotNull(firstServed);
        Assert.NotNull(secondServed);
        Assert.Null(listener.TryAccept());

        Send(first, 1);
        Assert.Equal((1, -1), (Receive(firstServed), Receive(secondServed)));
        Assert.False(UnixSocket.IsListening(firstServed));
    }

    [Fact]
    public void The_socket_file_goes_with_the_listener()
    {
        var listener = UnixListener.Bind(SocketPath);
        Assert.True(File.Exists(SocketPath));
        listener.Dispose();
        listener.Dispose();
        Assert.False(File.Exists(SocketPath));
    }

    [Fact]
    public void A_socket_file_that_nobody_listens_on_is_replaced()
    {
        using (OwnedFd dead = UnixSocket.Create())
        {
            Assert.True(UnixSocket.Bind(dead, SocketPath).Ok);
        }

        Assert.True(File.Exists(SocketPath));
        using var listener = UnixListener.Bind(SocketPath);
        using OwnedFd peer = UnixSocket.Connect(SocketPath);
        using OwnedFd? served = listener.TryAccept();
        Assert.NotNull(served);
    }

    [Fact]
    public void A_socket_that_somebody_listens_on_stays_his()
    {
        using var first = UnixListener.Bind(SocketPath);
        var e = Assert.Throws<LinuxException>(() => UnixListener.Bind(SocketPath));
        Assert.Equal(Errno.EADDRINUSE, e.Error);
        Assert.Contains("somebody listens there", e.Message);

        using OwnedFd? probe = first.TryAccept();
        using OwnedFd peer = UnixSocket.Connect(SocketPath);
        using OwnedFd? served = first.TryAccept();
        Assert.NotNull(served);
    }

    [Fact]
    public void A_socket_whose_queue_is_full_counts_as_live()
    {
        using var first = UnixListener.Bind(SocketPath);
        var waiting = new List<OwnedFd>();
        try
        {
            IoResult result;
            do
            {
                waiting.Add(UnixSocket.Create());
                result = UnixSocket.Connect(waiting[^1], SocketPath);
            }
            while (result.Ok);
            Assert.True(result.WouldBlock);
            Assert.Equal(Errno.EADDRINUSE, Assert.Throws<LinuxException>(() => UnixListener.Bind(SocketPath)).Error);
            Assert.True(File.Exists(SocketPath));
        }
        finally
        {
            waiting.ForEach(fd => fd.Dispose());
        }
    }

    [Fact]
    public void A_file_that_is_no_socket_is_an_error_and_stays()
    {
        File.WriteAllText(SocketPath, "precious");
        var e = Assert.Throws<LinuxException>(() => UnixListener.Bind(SocketPath));
        Assert.Equal(Errno.EADDRINUSE, e.Error);
        Assert.Contains("it is not a socket", e.Message);
        Assert.Equal("precious", File.ReadAllText(SocketPath));
    }

    [Fact]
    public void A_link_to_a_stale_socket_is_not_followed()
    {
        string target = Path.Combine(_folder, "target");
        using (OwnedFd dead = UnixSocket.Create())
        {
            Assert.True(UnixSocket.Bind(dead, target).Ok);
        }

        File.CreateSymbolicLink(SocketPath, target);
        Assert.Equal(Errno.EADDRINUSE, Assert.Throws<LinuxException>(() => UnixListener.Bind(SocketPath)).Error);
        Assert.True(File.Exists(target));
    }

    [Fact]
    public void A_socket_file_that_somebody_else_put_there_meanwhile_stays()
    {
        var first = UnixListener.Bind(SocketPath);
        File.Move(SocketPath, SocketPath + ".old");
        using var second = UnixListener.Bind(SocketPath);
        first.Dispose();
        Assert.True(File.Exists(SocketPath));
        UnixSocket.Connect(SocketPath).Dispose();
    }

    [Fact]
    public void A_path_that_cannot_be_bound_is_named()
    {
        string path = Path.Combine(_folder, "no-such-folder", "s");
        var e = Assert.Throws<LinuxException>(() => UnixListener.Bind(path));
        Assert.Equal(Errno.ENOENT, e.Error);
        Assert.Contains(path, e.Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("a\0b")]
    [InlineData("/tmp/123456789-123456789-123456789-123456789-123456789-123456789-123456789-123456789-123456789-123456789-123")]
    public void A_path_that_is_no_sockets_path_is_refused(string path)
    {
        Assert.Throws<ArgumentException>(() => UnixListener.Bind(path));
        Assert.Throws<ArgumentException>(() => UnixSocket.Connect(path));
    }

    [Fact]
    public void The_longest_path_is_taken()
    {
        string path = Path.Combine(_folder, new string('x', UnixSocket.MaxPathLength - _folder.Length - 1));
        Assert.Equal(UnixSocket.MaxPathLength, path.Length);
        using var listener = UnixListener.Bind(path);
        UnixSocket.Connect(path).Dispose();
    }

    [Fact]
    public void A_listening_socket_is_adopted_with_its_file_left_alone()
    {
        OwnedFd inherited = UnixSocket.Create();
        Assert.True(UnixSocket.Bind(inherited, SocketPath).Ok);
        Assert.False(UnixSocket.IsListening(inherited));
        Assert.Throws<ArgumentException>(() => UnixListener.Adopt(inherited));
        Assert.True(UnixSocket.Listen(inherited, 4).Ok);

        using (var listener = UnixListener.Adopt(inherited))
        {
            using OwnedFd peer = UnixSocket.Connect(SocketPath);
            using OwnedFd? served = listener.TryAccept();
            Assert.NotNull(served);
        }

        Assert.True(inherited.IsClosed);
        Assert.True(File.Exists(SocketPath));
    }

    [Fact]
    public void What_is_no_listening_unix_socket_is_not_adopted()
    {
        using var number = new EventFd();
        Assert.Throws<ArgumentException>(() => UnixListener.Adopt(number.Fd));
        Assert.False(number.Fd.IsClosed);
    }

    [Theory]
    [InlineData("absent", Errno.ENOENT)]
    [InlineData("file", Errno.ECONNREFUSED)]
    public void A_connection_to_nobody_is_refused_by_name(string name, int error)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(Path.Combine(_folder, "file"), "");
        var e = Assert.Throws<LinuxException>(() => UnixSocket.Connect(path));
        Assert.Equal(error, e.Error);
        Assert.Contains(path, e.Message);
    }

    private static void Send(OwnedFd fd, byte value)
    {
        using FdLease lease = fd.Lease();
        Assert.Equal(1, FdPassing.Send(lease.Number, [value], []).Count);
    }

    /// <summary>One byte, or -1 when none waits.</summary>
    private static int Receive(OwnedFd fd)
    {
        byte[] buffer = new byte[8];
        using FdLease lease = fd.Lease();
        return FdPassing.Receive(lease.Number, buffer, []).Bytes.Ok ? buffer[0] : -1;
    }
}
