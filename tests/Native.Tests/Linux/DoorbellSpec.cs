using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Linux;

/// <summary>Signals to descriptors of which somebody else has taken O_NONBLOCK away, and which are full.</summary>
public sealed class DoorbellSpec
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    [Fact]
    public void A_pipe_that_is_full_does_not_hold_up_who_signals_it()
    {
        (OwnedFd read, OwnedFd write) = Pipe.Create();
        using (read)
        using (write)
        {
            AssertFullOneDoesNotHoldUp(write);
        }
    }

    [Fact]
    public void Nor_does_a_socket()
    {
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        using (ours)
        using (theirs)
        {
            AssertFullOneDoesNotHoldUp(ours);
        }
    }

    [Fact]
    public void Who_waits_for_an_eventfd_goes_on_when_it_is_freed()
    {
        using OwnedFd fd = TestFile.FullBlockingEvent();
        using var bell = new Doorbell(fd);
        IoResult result = default;
        var thread = new Thread(() => result = bell.Ring());
        thread.Start();

        Assert.False(thread.Join(TimeSpan.FromMilliseconds(50)));
        bell.Free();

        Assert.True(thread.Join(Patience));
        Assert.True(result.Ok);
        Assert.Equal(1UL, Taken(fd));
    }

    [Fact]
    public async Task A_signal_from_aside_arrives_whatever_stands_in_its_way()
    {
        using OwnedFd fd = TestFile.FullBlockingEvent();

        await Doorbell.RingAsideAsync(fd).WaitAsync(Patience);

        Assert.Equal(1UL, Taken(fd));
    }

    [Fact]
    public void Freeing_leaves_a_signal_alone_that_nobody_has_taken_yet()
    {
        using OwnedFd fd = TestFile.BlockingEvent();
        using var bell = new Doorbell(fd);
        Assert.True(bell.Ring().Ok);
        Assert.True(bell.Ring().Ok);

        bell.Free();

        Assert.Equal(2UL, Taken(fd));
    }

    [Fact]
    public void Taking_from_an_eventfd_without_a_signal_does_not_wait()
    {
        using OwnedFd fd = TestFile.BlockingEvent();
        using FdLease lease = fd.Lease();

        Assert.True(EventFd.Take(lease.Number).WouldBlock);
    }

    private static void AssertFullOneDoesNotHoldUp(OwnedFd fd)
    {
        using FdLease lease = fd.Lease();
        Sys.SetNonBlocking(lease.Number, on: true).OrThrow("fcntl");
        while (EventFd.Signal(lease.Number).Ok)
        {
        }

        Sys.SetNonBlocking(lease.Number, on: false).OrThrow("fcntl");
        using var bell = new Doorbell(fd);

        Assert.True(bell.Ring().WouldBlock);
    }

    private static ulong Taken(OwnedFd fd)
    {
        using FdLease lease = fd.Lease();
        return EventFd.Drain(lease.Number);
    }
}
