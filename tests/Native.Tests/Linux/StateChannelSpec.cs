using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Linux;

/// <summary>The way of a device's state: whatever the other side does, it ends.</summary>
public sealed class StateChannelSpec : IDisposable
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(20);

    private readonly OwnedFd _read;
    private readonly OwnedFd _write;

    public StateChannelSpec() => (_read, _write) = Pipe.Create();

    public void Dispose()
    {
        _read.Dispose();
        _write.Dispose();
    }

    [Fact]
    public void A_pipe_s_end_is_taken_in_its_direction_alone()
    {
        Assert.Null(StateChannel.Check(_read, writing: false));
        Assert.Null(StateChannel.Check(_write, writing: true));
        Assert.NotNull(StateChannel.Check(_read, writing: true));
        Assert.NotNull(StateChannel.Check(_write, writing: false));
    }

    [Fact]
    public void What_could_hold_its_reader_for_ever_is_refused()
    {
        using OwnedFd eventFd = TestFile.BlockingEvent();
        using OwnedFd file = TestFile.Open("/dev/zero");
        Assert.NotNull(StateChannel.Check(eventFd, writing: false));
        Assert.NotNull(StateChannel.Check(file, writing: false));
        (OwnedFd first, OwnedFd second) = UnixSocket.Pair();
        using (first)
        using (second)
        {
            Assert.Null(StateChannel.Check(first, writing: true));
        }
    }

    [Fact]
    public async Task More_than_a_pipe_holds_arrives_whole()
    {
        Assert.Null(StateChannel.Check(_write, writing: true));
        byte[] state = new byte[1 << 20];
        new Random(1).NextBytes(state);
        Task writer = Task.Run(() =>
        {
            StateChannel.WriteAll(_write, state, Long, CancellationToken.None);
            _write.Dispose();
        });

        Assert.Equal(state, StateChannel.ReadToEnd(_read, state.Length, Long, CancellationToken.None));
        await writer;
    }

    [Fact]
    public void More_than_the_most_is_not_read()
    {
        StateChannel.WriteAll(_write, new byte[101], Long, CancellationToken.None);
        Assert.Throws<InvalidDataException>(() => StateChannel.ReadToEnd(_read, 100, Long, CancellationToken.None));
    }

    [Fact]
    public void A_writer_that_never_ends_and_a_reader_that_never_reads_cost_the_limit()
    {
        Assert.Null(StateChannel.Check(_write, writing: true));
        Assert.Throws<TimeoutException>(() => StateChannel.ReadToEnd(_read, 100, Short, CancellationToken.None));
        Assert.Throws<TimeoutException>(() => StateChannel.WriteAll(_write, new byte[1 << 20], Short, CancellationToken.None));
    }

    /// <summary>O_NONBLOCK belongs to all who hold the open file; an honest front-end leaves it, a hostile one not.</summary>
    [SkippableFact]
    public void A_pipe_that_was_made_blocking_again_holds_nobody()
    {
        Requirement.Demand(Environment.OSVersion.Version >= new Version(6, 5), "this kernel's pipes know no RWF_NOWAIT");
        Assert.Null(StateChannel.Check(_write, writing: true));
        Assert.True(Sys.SetNonBlocking(_write.Number, on: false).Ok);
        Assert.Throws<TimeoutException>(() => StateChannel.WriteAll(_write, new byte[1 << 20], Short, CancellationToken.None));
    }

    [Fact]
    public void A_reader_that_has_gone_is_an_error()
    {
        _read.Dispose();
        LinuxException gone = Assert.Throws<LinuxException>(
            () => StateChannel.WriteAll(_write, new byte[1 << 20], Long, CancellationToken.None));
        Assert.Equal(Errno.EPIPE, gone.Error);
    }

    [Fact]
    public async Task Whoever_waits_can_be_told_to_stop()
    {
        using var cancellation = new CancellationTokenSource();
        Task reader = Task.Run(() => StateChannel.ReadToEnd(_read, 100, Long, cancellation.Token));
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reader.WaitAsync(Long));
    }
}
