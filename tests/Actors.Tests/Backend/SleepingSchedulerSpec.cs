using Akka.Actor;
using Akka.Configuration;
using Akka.TestKit.Xunit2;
using Ringmaster.Actors.Backend;
using Ringmaster.Actors.Tests.Settings;
using Ringmaster.Actors.Tests.Support;

namespace Ringmaster.Actors.Tests.Backend;

public sealed class SleepingSchedulerSpec : TestKit
{
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan Later = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AWhile = TimeSpan.FromMilliseconds(100);

    public SleepingSchedulerSpec()
        : base($"""
            {TestConfiguration.Patient}
            akka.scheduler.implementation = "{ReferenceConfiguration.Value.GetString("akka.scheduler.implementation")}"
            """)
    {
    }

    private SleepingScheduler Scheduler => Assert.IsType<SleepingScheduler>(Sys.Scheduler);

    [Fact]
    public void The_reference_configuration_chooses_it() => Assert.NotNull(Scheduler);

    [Fact]
    public void A_message_comes_when_it_is_due_and_once()
    {
        TimeSpan start = Scheduler.MonotonicClock;
        Sys.Scheduler.ScheduleTellOnce(2 * Later, TestActor, "once", ActorRefs.NoSender);
        Sys.Scheduler.ScheduleTellOnce(Soon, TestActor, "sooner", ActorRefs.NoSender);

        ExpectMsg("sooner");
        ExpectMsg("once");
        Assert.InRange(Scheduler.MonotonicClock - start, (2 * Later) - TimeSpan.FromMilliseconds(20), TimeSpan.MaxValue);
        ExpectNoMsg(AWhile);
    }

    [Fact]
    public void A_cancelled_message_does_not_come()
    {
        using var cancelled = new Cancelable(Sys.Scheduler);
        Sys.Scheduler.ScheduleTellOnce(3 * Later, TestActor, "cancelled", ActorRefs.NoSender, cancelled);
        cancelled.Cancel();
        Sys.Scheduler.ScheduleTellOnce(3 * Later, TestActor, "cancelled before", ActorRefs.NoSender, cancelled);
        Sys.Scheduler.ScheduleTellOnce(4 * Later, TestActor, "kept", ActorRefs.NoSender);

        ExpectMsg("kept");
    }

    [Fact]
    public void A_repeated_message_comes_until_it_is_cancelled()
    {
        using var cancelable = new Cancelable(Sys.Scheduler);
        Sys.Scheduler.ScheduleTellRepeatedly(TimeSpan.Zero, Soon, TestActor, "again", ActorRefs.NoSender, cancelable);
        ExpectMsg("again");
        ExpectMsg("again");
        ExpectMsg("again");

        cancelable.Cancel();
        Sys.Scheduler.ScheduleTellOnce(AWhile, TestActor, "end", ActorRefs.NoSender);

        // One that was on its way already may come behind the end.
        FishForMessage(message => message is "end");
        Assert.True(ReceiveWhile(AWhile, message => message).Count <= 1);
        ExpectNoMsg(AWhile);
    }

    [Fact]
    public void An_action_that_throws_is_logged_and_ends_nothing()
    {
        EventFilter.Exception<InvalidOperationException>().ExpectOne(() =>
            Sys.Scheduler.Advanced.ScheduleOnce(Soon, () => throw new InvalidOperationException("on purpose")));

        Sys.Scheduler.ScheduleTellOnce(Soon, TestActor, "next", ActorRefs.NoSender);
        ExpectMsg("next");
    }

    [Fact]
    public void After_its_end_nothing_is_due_any_more()
    {
        using var scheduler = new SleepingScheduler(Config.Empty, Sys.Log);
        IScheduler scheduling = scheduler;
        scheduling.ScheduleTellOnce(Later, TestActor, "before", ActorRefs.NoSender);
        scheduler.Dispose();
        scheduling.ScheduleTellOnce(Later, TestActor, "after", ActorRefs.NoSender);

        Sys.Scheduler.ScheduleTellOnce(Later, TestActor, "other", ActorRefs.NoSender);
        ExpectMsg("other");
    }
}
