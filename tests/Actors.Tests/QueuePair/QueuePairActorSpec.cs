using Akka.Actor;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Ringmaster.Actors.QueuePair;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.QueuePair;

public sealed class QueuePairActorSpec : TestKit
{
    private readonly FakeWorkers _workers = new();
    private readonly TestProbe _failures;
    private readonly TestProbe _parent;
    private readonly IActorRef _actor;

    public QueuePairActorSpec()
        : base(TestConfiguration.Patient)
    {
        _failures = CreateTestProbe();
        _parent = CreateTestProbe();
        IActorRef supervisor = Sys.ActorOf(Props.Create(() => new ForwardingSupervisor(_parent.Ref, _failures.Ref)));
        supervisor.Tell(QueuePairActor.Props(1, _workers.Start));
        _actor = _parent.ExpectMsg<PairStarted>(started => started.Pair == 1).Actor;
    }

    [Fact]
    public void It_announces_itself_and_opens_nothing_before_it_has_a_plan()
    {
        Assert.Empty(_workers.All);
        _parent.ExpectNoMsg(TimeSpan.Zero);
    }

    [Fact]
    public void A_plan_starts_a_worker_of_its_generation()
    {
        Start(7);
        Assert.Equal(7, _workers.All.Single().Generation);
    }

    [Fact]
    public void A_second_plan_is_not_taken_while_a_worker_lives()
    {
        Start(1);
        _actor.Tell(new StartWorker(Plan(2)));
        Post(1, new StopRing(RingSide.Rx));
        _parent.ExpectMsg<WorkerReported>(reported => reported.Report is RingStopped);
        Assert.Single(_workers.All);
    }

    [Fact]
    public void Commands_reach_the_worker_in_order_and_its_reports_the_parent()
    {
        Start(1);
        WorkerCommand[] commands = [new ReplaceMemory(GuestMemory.Empty), new StopRing(RingSide.Tx)];
        Post(1, commands);

        _parent.ExpectMsg(new WorkerReported(1, new CommandDone(1, commands[0].Id)));
        _parent.ExpectMsg(new WorkerReported(1, new RingStopped(1, commands[1].Id, RingSide.Tx, null)));
        Assert.Equal(commands, _workers.All.Single().Commands);
    }

    [Fact]
    public void Commands_for_another_generation_are_dropped()
    {
        Start(2);
        Post(1, new StopRing(RingSide.Rx));
        Post(2, new StopRing(RingSide.Tx));

        _parent.ExpectMsg<WorkerReported>(reported => reported.Report is RingStopped { Side: RingSide.Tx });
        Assert.Single(_workers.All.Single().Commands);
    }

    [Fact]
    public void The_death_of_the_worker_is_told_to_the_parent_and_thrown_to_supervision()
    {
        FakeWorker worker = Start(3);
        worker.Die("it broke");

        WorkerExited exited = ExpectExit();
        Assert.Equal(3, exited.Generation);
        var failure = _failures.ExpectMsg<WorkerFailedException>();
        Assert.Equal((1, 3L, "it broke"), (failure.Pair, failure.Generation, failure.Message));
        Assert.Same(exited.Cause, failure.InnerException);
    }

    [Fact]
    public void After_a_failure_it_announces_itself_again_and_has_no_worker()
    {
        Start(1).Die("it broke");
        ExpectExit();
        Assert.Equal(_actor, _parent.ExpectMsg<PairStarted>().Actor);

        Start(2);
        Assert.Equal([1L, 2L], _workers.All.Select(worker => worker.Generation));
    }

    [Fact]
    public void A_worker_that_ends_without_being_told_has_failed()
    {
        Start(1).Post(new ExitWorker());
        ExpectExit();
        Assert.Contains("without being told", _failures.ExpectMsg<WorkerFailedException>().Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_thread_that_cannot_be_started_is_a_failed_worker()
    {
        _workers.FailingStarts = 1;
        _actor.Tell(new StartWorker(Plan(1)));
        Assert.IsType<OutOfMemoryException>(ExpectExit().Cause);
        _failures.ExpectMsg<WorkerFailedException>();
        _parent.ExpectMsg<PairStarted>();
    }

    [Fact]
    public void Reports_of_a_stale_generation_are_ignored_but_for_its_exit()
    {
        FakeWorker old = Start(1);
        old.Die("it broke");
        ExpectExit();
        _parent.ExpectMsg<PairStarted>();
        Start(2);

        old.Say(new RingBroken(1, RingSide.Rx, "too late", 0));
        old.Say(new WorkerExited(1, null, null, null));
        Assert.Equal(1, ExpectExit().Generation);
        Post(2, new StopRing(RingSide.Rx));
        _parent.ExpectMsg<WorkerReported>(reported => reported.Report is RingStopped);
    }

    [Fact]
    public void An_abandoned_worker_is_told_to_exit_and_its_exit_is_a_failure()
    {
        FakeWorker worker = Start(1);
        worker.Holds = true;
        _actor.Tell(new AbandonWorker(1, "it was silent"));
        AwaitAssert(() => Assert.IsType<ExitWorker>(Assert.Single(worker.Commands)));

        worker.Answer();
        ExpectExit();
        Assert.Equal("it was silent", _failures.ExpectMsg<WorkerFailedException>().Message);
    }

    [Fact]
    public void An_ended_pair_stops_when_its_worker_has_gone()
    {
        FakeWorker worker = Start(1);
        worker.Holds = true;
        Watch(_actor);
        _actor.Tell(EndPair.Instance);
        AwaitAssert(() => Assert.IsType<ExitWorker>(Assert.Single(worker.Commands)));

        worker.Answer();
        Assert.Null(ExpectExit().Cause);
        ExpectTerminated(_actor);
    }

    [Fact]
    public void A_pair_that_is_stopped_tells_its_worker_to_exit_and_does_not_wait()
    {
        FakeWorker worker = Start(1);
        worker.Hangs = true;
        Watch(_actor);
        Sys.Stop(_actor);
        ExpectTerminated(_actor);
        Assert.IsType<ExitWorker>(Assert.Single(worker.Commands));
    }

    private static WorkerPlan Plan(long generation) =>
        new("net0/pair-1", generation, null, IoEngine.Syscall, BusyPoll.Off, Merge: false, null!, new WorkerCounters());

    private FakeWorker Start(long generation)
    {
        _actor.Tell(new StartWorker(Plan(generation)));
        var created = _parent.FishForMessage<WorkerCreated>(created => created.Worker.Generation == generation);
        return (FakeWorker)created.Worker;
    }

    private void Post(long generation, params WorkerCommand[] commands) => _actor.Tell(new PostCommands(generation, commands));

    private WorkerExited ExpectExit() =>
        (WorkerExited)_parent.FishForMessage<WorkerReported>(each => each.Report is WorkerExited).Report;

    /// <summary>Stands in for the device's supervisor: hands on what its child tells and how it fails.</summary>
    private sealed class ForwardingSupervisor : ReceiveActor
    {
        private readonly IActorRef _failures;

        public ForwardingSupervisor(IActorRef parent, IActorRef failures)
        {
            _failures = failures;
            Receive<Props>(props => Context.ActorOf(props));
            Receive<WorkerReported>(reported => reported.Report is WorkerStarted, IgnoreStart);
            ReceiveAny(parent.Forward);
        }

        protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(Decide);

        private static void IgnoreStart(WorkerReported message)
        {
            // WorkerCreated has said as much.
        }

        private Directive Decide(Exception failure)
        {
            _failures.Tell(failure);
            return Directive.Restart;
        }
    }
}
