using System.Threading.Channels;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Linux;

public sealed class ReadinessLoopSpec : IDisposable
{
    private readonly ReadinessLoop _loop = new("test-loop");
    private readonly EventFd _event = new();
    private readonly Channel<int> _calls = Channel.CreateUnbounded<int>();

    public void Dispose()
    {
        _loop.Dispose();
        _event.Dispose();
    }

    [Fact]
    public void A_loop_that_is_awake_when_it_is_stopped_ends_like_any_other()
    {
        int calls = 0;
        for (int i = 0; i < 500; i++)
        {
            using var fd = new EventFd();
            using var loop = new ReadinessLoop("test");
            using Readiness readiness = loop.Register(fd.Fd, () => Interlocked.Increment(ref calls));
            fd.Signal();
            readiness.Arm();
            loop.Dispose();
        }

        Assert.InRange(calls, 0, 500);
    }

    [Fact]
    public async Task A_registration_calls_once_for_each_time_it_is_armed()
    {
        using Readiness readiness = _loop.Register(_event.Fd, Called);
        _event.Signal();
        await Passed();
        Assert.Equal(0, _calls.Reader.Count);

        readiness.Arm();
        await Call();
        await Passed();
        Assert.Equal(0, _calls.Reader.Count);

        // Still unread: arming again calls at once.
        readiness.Arm();
        readiness.Arm();
        await Call();
        await Passed();
        Assert.Equal(0, _calls.Reader.Count);

        _event.Drain();
        readiness.Arm();
        await Passed();
        Assert.Equal(0, _calls.Reader.Count);
        _event.Signal();
        await Call();
    }

    [Fact]
    public async Task Room_in_a_socket_is_told_of_once_it_is_there()
    {
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        using OwnedFd writer = ours;
        using OwnedFd reader = theirs;
        while (EventFd.Signal(writer).Ok)
        {
            // Until the socket is full.
        }

        using Readiness readiness = _loop.RegisterWritable(writer, Called);
        readiness.Arm();
        await Passed();
        Assert.Equal(0, _calls.Reader.Count);

        var fds = new List<OwnedFd>();
        byte[] waste = new byte[4096];
        using FdLease lease = reader.Lease();
        while (FdPassing.Receive(lease.Number, waste, fds).Bytes.Ok)
        {
            // Until it is empty.
        }

        await Call();
    }

    [Fact]
    public async Task The_end_of_a_socket_is_a_call_as_well()
    {
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        using OwnedFd end = ours;
        using Readiness readiness = _loop.Register(ours, Called);
        readiness.Arm();
        theirs.Dispose();
        await Call();
    }

    [Fact]
    public async Task A_socket_that_is_closed_before_it_is_armed_calls_nobody_until_then()
    {
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        using OwnedFd end = ours;
        using Readiness readiness = _loop.Register(ours, Called);
        theirs.Dispose();
        await Passed();
        Assert.Equal(0, _calls.Reader.Count);
        readiness.Arm();
        await Call();
        await Passed();
        Assert.Equal(0, _calls.Reader.Count);
    }

    [Fact]
    public async Task A_disposed_registration_calls_nobody()
    {
        Readiness readiness = _loop.Register(_event.Fd, Called);
        readiness.Arm();
        readiness.Dispose();
        readiness.Dispose();
        readiness.Arm();
        _event.Signal();
        await Passed();
        Assert.Equal(0, _calls.Reader.Count);
    }

    [Fact]
    public async Task A_descriptor_stays_open_while_it_is_registered()
    {
        (OwnedFd read, OwnedFd write) = Pipe.Create();
        using OwnedFd writer = write;
        Assert.Equal(2, OpenFds.PointingTo(write));
        Readiness readiness = _loop.Register(read, Called);
        readiness.Arm();
        read.Dispose();
        Assert.Equal(2, OpenFds.PointingTo(write));

        write.Dispose();
        await Call();
        readiness.Dispose();
        Assert.Throws<ObjectDisposedException>(() => _loop.Register(read, Called));
    }

    [Fact]
    public void A_file_that_cannot_be_waited_for_is_refused_when_armed()
    {
        using OwnedFd regular = TestFile.Open(typeof(ReadinessLoopSpec).Assembly.Location);
        using Readiness readiness = _loop.Register(regular, Called);
        Assert.Equal(Errno.EPERM, Assert.Throws<LinuxException>(readiness.Arm).Error);
    }

    [Fact]
    public async Task Callbacks_run_on_the_threads_own_name_and_may_dispose_arm_and_register()
    {
        var thread = new TaskCompletionSource<string?>();
        Readiness? first = null;
        first = _loop.Register(_event.Fd, () =>
        {
            first!.Dispose();
            _event.Drain();
            Readiness second = _loop.Register(_event.Fd, () => thread.SetResult(Thread.CurrentThread.Name));
            second.Arm();
            _event.Signal();
        });
        first.Arm();
        _event.Signal();
        Assert.Equal("test-loop", await thread.Task.Soon());
    }

    [Fact]
    public void After_the_loop_is_disposed_nothing_can_be_registered_and_the_rest_still_disposes()
    {
        var loop = new ReadinessLoop("short");
        Readiness readiness = loop.Register(_event.Fd, Called);
        readiness.Arm();
        loop.Dispose();
        loop.Dispose();

        _event.Signal();
        readiness.Arm();
        Assert.Throws<ObjectDisposedException>(() => loop.Register(_event.Fd, Called));
        readiness.Dispose();
        Assert.Equal(0, _calls.Reader.Count);
    }

    [Fact]
    public async Task A_loop_may_be_disposed_from_its_own_callback()
    {
        var loop = new ReadinessLoop("suicide");
        using Readiness readiness = loop.Register(_event.Fd, () =>
        {
            loop.Dispose();
            Called();
        });
        readiness.Arm();
        _event.Signal();
        await Call();
    }

    [Fact]
    public async Task Many_descriptors_armed_and_disposed_by_many_threads_lose_no_call()
    {
        const int Rounds = 500;
        Task[] tasks = [.. Enumerable.Range(0, 8).Select(_ => Task.Run(async () =>
        {
            for (int round = 0; round < Rounds; round++)
            {
                using var own = new EventFd();
                var called = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                using Readiness readiness = _loop.Register(own.Fd, called.SetResult);
                readiness.Arm();
                own.Signal();
                await called.Task;
            }
        }))];
        await Task.WhenAll(tasks).WaitAsync(TimeSpan.FromMinutes(1));
    }

    private void Called() => _calls.Writer.TryWrite(0);

    private Task<int> Call() => _calls.Reader.ReadAsync().AsTask().Soon();

    /// <summary>Waits until the loop has looked at everything that was ready when this was called.</summary>
    private async Task Passed()
    {
        // Two rounds: the first may share its epoll_wait with what was ready before.
        for (int round = 0; round < 2; round++)
        {
            using var marker = new EventFd();
            var passed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            using Readiness readiness = _loop.Register(marker.Fd, passed.SetResult);
            marker.Signal();
            readiness.Arm();
            await passed.Task.Soon();
        }
    }
}
