using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.Worker;
using Tmds.Linux;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>Frames that cannot be taken yet wake the worker once, not each of them.</summary>
public sealed class TapWatchSpec : IDisposable
{
    private readonly FakeTap _tap = new(headerSize: 12);
    private readonly Epoll _epoll = new();
    private readonly epoll_event[] _events = new epoll_event[4];
    private readonly TapReadiness _readiness = new() { Readable = false };
    private readonly FdLease _lease;
    private readonly TapWatch _watch;

    public TapWatchSpec()
    {
        _lease = _tap.Queue.Fd.Lease();
        _watch = new TapWatch(_epoll, _readiness);
        _watch.Start(_lease);
        Sleep();
    }

    public void Dispose()
    {
        _lease.Dispose();
        _epoll.Dispose();
        _tap.Dispose();
    }

    [Fact]
    public void A_frame_after_an_empty_queue_wakes()
    {
        Send();
        Assert.True(Sleep());
        Assert.True(_readiness.Readable);
    }

    [Fact]
    public void While_frames_wait_only_one_more_wakes()
    {
        Send();
        Assert.True(Sleep());
        Send();
        Assert.True(Sleep());
        for (int i = 0; i < 3; i++)
        {
            Send();
            Assert.False(Sleep());
        }
    }

    [Fact]
    public void A_frame_that_came_unheard_wakes_when_the_queue_was_read_empty_before_it()
    {
        While_frames_wait_only_one_more_wakes();
        _readiness.Readable = false;
        Assert.True(Sleep());
        Assert.True(_readiness.Readable);
    }

    [Fact]
    public void It_listens_again_once_the_queue_was_read_empty()
    {
        While_frames_wait_only_one_more_wakes();
        ReadAll();
        _readiness.Readable = false;
        Assert.False(Sleep());
        Send();
        Assert.True(Sleep());
    }

    [Fact]
    public void That_the_queue_has_room_is_told_only_after_it_had_none()
    {
        Assert.False(Sleep());
        _readiness.Writable = false;
        Assert.True(Sleep());
        Assert.True(_readiness.Writable);
        Assert.False(Sleep());
    }

    /// <summary>As the worker does. True when the TAP woke it.</summary>
    private bool Sleep()
    {
        _watch.Prepare(sleeps: true);
        int count = _epoll.Wait(_events, 0);
        for (int i = 0; i < count; i++)
        {
            _watch.OnEdge((EpollEvents)_events[i].events);
        }

        return count > 0;
    }

    private void Send() => Assert.True(_tap.TrySend(new byte[72]));

    private unsafe void ReadAll()
    {
        const int room = 128;
        byte* buffer = stackalloc byte[room];
        while (Sys.Read(_lease.Number, buffer, room).Ok)
        {
        }
    }
}
