using Ringmaster.Native.Linux;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

public sealed class MailboxSpec
{
    private readonly Mailbox _mailbox = new();

    [Fact]
    public void A_command_wakes_and_is_there()
    {
        var command = new ExitWorker();
        _mailbox.Post(command);

        Assert.True(Wakes);
        Assert.True(_mailbox.HasPending);
        _mailbox.Acknowledge();
        Assert.True(_mailbox.TryTake(out WorkerCommand? taken));
        Assert.Same(command, taken);
        Assert.False(Wakes);
        Assert.False(_mailbox.HasPending);
    }

    /// <summary>Whoever posts says that there is something, and wakes after that; a busy worker may be through by then.</summary>
    [Fact]
    public void A_wake_up_that_comes_late_wakes_once()
    {
        _mailbox.Post(new ExitWorker());
        _mailbox.Acknowledge();
        Assert.True(_mailbox.TryTake(out _));
        EventFd.Signal(_mailbox.Fd);

        Assert.True(Wakes);
        _mailbox.Awoke();

        Assert.False(Wakes);
    }

    [Fact]
    public void A_command_whose_wake_up_was_taken_with_an_older_one_is_seen()
    {
        _mailbox.Post(new ExitWorker());

        _mailbox.Awoke();

        Assert.True(_mailbox.HasPending);
    }

    private bool Wakes => FdWait.For(_mailbox.Fd, FdWait.In, TimeSpan.Zero);
}
