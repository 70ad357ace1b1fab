using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Linux;

public sealed class NotificationFdSpec
{
    [Fact]
    public void An_eventfd_is_taken_and_made_non_blocking()
    {
        using OwnedFd fd = TestFile.BlockingEvent();
        Assert.Null(NotificationFd.Check(fd));
        AssertReadDoesNotBlock(fd);
    }

    [Fact]
    public void Both_ends_of_a_pipe_are_taken_and_made_non_blocking()
    {
        (OwnedFd read, OwnedFd write) = Pipe.Create();
        using (read)
        using (write)
        {
            Assert.Null(NotificationFd.Check(read));
            Assert.Null(NotificationFd.Check(write));
            AssertReadDoesNotBlock(read);
            AssertFullWriteDoesNotBlock(write);
        }
    }

    [Fact]
    public void A_socket_is_taken()
    {
        (OwnedFd first, OwnedFd second) = UnixSocket.Pair();
        using (first)
        using (second)
        {
            Assert.Null(NotificationFd.Check(first));
            AssertReadDoesNotBlock(first);
        }
    }

    [Fact]
    public void A_listening_socket_is_refused()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        int number = (int)listener.Server.Handle;
        using var borrowed = new OwnedFd(number);
        using OwnedFd copy = borrowed.Duplicate();
        borrowed.SetHandleAsInvalid();
        Assert.Equal("a listening socket cannot be read", NotificationFd.Check(copy));
    }

    [Theory]
    [InlineData("epoll", "[eventpoll]")]
    [InlineData("timer", "[timerfd]")]
    [InlineData("memfd", "/memfd:test")]
    [InlineData("/dev/zero", "/dev/zero")]
    [InlineData("/dev/null", "/dev/null")]
    [InlineData("/proc/self/status", "/status")]
    [InlineData("/tmp", "/tmp")]
    public void Anything_else_is_refused_with_its_name(string kind, string name)
    {
        using OwnedFd fd = kind switch
        {
            "epoll" => TestFile.Epoll(),
            "timer" => TestFile.Timer(),
            "memfd" => TestFile.Memory(),
            _ => TestFile.Open(kind),
        };
        string? reason = NotificationFd.Check(fd);
        Assert.EndsWith("is neither an eventfd nor a pipe nor a socket", reason);
        Assert.Contains(name, reason);
    }

    private static unsafe void AssertReadDoesNotBlock(OwnedFd fd)
    {
        ulong value;
        using FdLease lease = fd.Lease();
        Assert.True(Sys.Read(lease.Number, &value, sizeof(ulong)).WouldBlock);
    }

    private static void AssertFullWriteDoesNotBlock(OwnedFd fd)
    {
        using FdLease lease = fd.Lease();
        IoResult result;
        do
        {
            result = EventFd.Signal(lease.Number);
        }
        while (result.Ok);
        Assert.True(result.WouldBlock);
    }
}
