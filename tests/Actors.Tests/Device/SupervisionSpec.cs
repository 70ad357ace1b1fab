using Akka.Actor;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.QueuePair;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>Workers that fail, hang, and are given up.</summary>
public sealed class SupervisionSpec : DeviceTest
{
    private static readonly TimeSpan Timeout = TestDevices.Restart.WorkerTimeout;

    [Fact]
    public async Task A_failed_worker_comes_back_with_the_plans_of_its_rings_and_the_other_pair_notices_nothing()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker other = Workers.Latest(0)!;
        FakeWorker failing = Workers.Latest(1)!;
        RingPlan before = failing.Ring(RingSide.Rx)!;
        int toldToOther = other.Commands.Count;
        failing.Bases[(int)RingSide.Rx] = 17;
        failing.Bases[(int)RingSide.Tx] = 42;
        failing.Die("it broke");

        FakeWorker restarted = await WorkerAsync(1, generation: 2);
        await RunsAsync(restarted, RingSide.Rx, RingSide.Tx);
        Assert.Equal(before with { Base = 17 }, restarted.Ring(RingSide.Rx));
        Assert.Equal(42u, restarted.Ring(RingSide.Tx)!.Base);
        Assert.Single(Assert.IsType<ReplaceMemory>(restarted.Commands[0]).Memory.Regions);
        Assert.Same(failing.Counters, restarted.Counters);

        Assert.Single(Workers.Of(0));
        Assert.Equal(toldToOther, other.Commands.Count);
        await frontEnd.SyncAsync();
        PairStatus pair = (await StatusAsync()).Pairs[1];
        Assert.Equal((PairHealth.Running, 2L, 1, "it broke"), (pair.Health, pair.Generation, pair.Failures, pair.LastFailure));
    }

    [Fact]
    public async Task An_injected_fault_fails_the_worker()
    {
        StartDevice();
        WorkerFaultInjected answer = await Device.Ask<WorkerFaultInjected>(new InjectWorkerFault(1, "for the test"));
        Assert.True(answer.Posted);
        await StatusIsAsync(status => Assert.Equal("for the test", status.Pairs[1].LastFailure));
        Assert.False((await Device.Ask<WorkerFaultInjected>(new InjectWorkerFault(9, "no such pair"))).Posted);
    }

    [Fact]
    public async Task The_restart_waits_out_the_back_off_which_doubles()
    {
        StartDevice(pairs: 1);
        TimeSpan backoff = TestDevices.Restart.MinBackoff;
        for (int generation = 1; generation <= 2; generation++)
        {
            await LogsAsync(
                EventFilter.Warning(contains: $"restart {generation} of 3 in {backoff.TotalMilliseconds} ms"),
                () => Workers.Latest(0)!.Die("it broke"));
            await WorkerAsync(0, generation + 1);
            backoff *= 2;
        }
    }

    [Fact]
    public async Task No_worker_is_started_before_the_back_off_is_over()
    {
        TimeSpan minute = TimeSpan.FromMinutes(1);
        StartDevice(pairs: 1, settings => settings with
        {
            Restart = settings.Restart with { MinBackoff = minute, MaxBackoff = minute },
        });
        Workers.Latest(0)!.Die("it broke");
        await StatusIsAsync(status => Assert.Equal((PairHealth.Waiting, 1), (status.Pairs[0].Health, status.Pairs[0].Failures)));
        await FrontEndIsServedWithoutWorkerAsync();
        Assert.Single(Workers.All);
    }

    [Fact]
    public async Task Past_the_bound_that_pair_is_given_up_and_the_other_goes_on()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        using var error = new EventFd();
        frontEnd.Send(RequestCode.SetVringErr, new VringFd(0, false).ToBytes(), error.Fd);
        await frontEnd.SyncAsync();
        await ExhaustAsync(pair: 0);

        await StatusIsAsync(status =>
        {
            Assert.Equal((PairHealth.Broken, PairHealth.Running), (status.Pairs[0].Health, status.Pairs[1].Health));
            Assert.True(status.Status.HasFlag(DeviceStatus.NeedsReset));
        });
        await AwaitAssertAsync(() => Assert.Equal(1UL, error.Drain()));
        ulong seen = BitConverter.ToUInt64(await frontEnd.AskAsync(RequestCode.GetStatus));
        Assert.True(((DeviceStatus)seen).HasFlag(DeviceStatus.NeedsReset));
        await AwaitAssertAsync(() => Assert.Equal([1], Host.Latest.ActivePairs.ToArray()));
        Assert.NotNull(Workers.Latest(1)!.Ring(RingSide.Rx));
        Assert.Single(Workers.Of(1));
    }

    [Fact]
    public async Task A_pair_that_was_given_up_gets_a_fresh_chance_when_its_ring_is_started_again()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        await ExhaustAsync(pair: 0);
        await StatusIsAsync(status => Assert.Equal(PairHealth.Broken, status.Pairs[0].Health));
        int workers = Workers.Of(0).Count;

        await frontEnd.KickAsync(2);
        Assert.Equal(workers, Workers.Of(0).Count);
        await frontEnd.KickAsync(0);
        FakeWorker fresh = await WorkerAsync(0, workers + 1);
        await RunsAsync(fresh, RingSide.Rx, RingSide.Tx);
        await AwaitAssertAsync(() => Assert.Equal([0, 1], Host.Latest.ActivePairs.ToArray()));

        fresh.Die("again");
        await WorkerAsync(0, workers + 2);
    }

    [Fact]
    public async Task A_pair_that_was_given_up_gets_a_fresh_chance_with_a_new_front_end()
    {
        StartDevice(pairs: 1);
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync(pairs: 1);
        await ExhaustAsync(pair: 0);
        await StatusIsAsync(status => Assert.Equal(PairHealth.Broken, status.Pairs[0].Health));
        frontEnd.Dispose();

        await Connect().BringUpAsync(pairs: 1);
        await StatusIsAsync(status => Assert.Equal(PairHealth.Running, status.Pairs[0].Health));
        await RunsAsync(Workers.Latest(0)!, RingSide.Rx, RingSide.Tx);
    }

    [Fact]
    public async Task The_death_of_a_worker_answers_what_it_was_asked()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker worker = Workers.Latest(0)!;
        worker.Bases[(int)RingSide.Rx] = 99;
        worker.Holds = true;
        Task<uint> reply = frontEnd.StopRingAsync(0);
        await AwaitAssertAsync(() => Assert.Equal(1, worker.Unanswered));
        worker.Die("it broke");

        Assert.Equal(99u, await reply);
        FakeWorker restarted = await WorkerAsync(0, generation: 2);
        await RunsAsync(restarted, RingSide.Tx);
        Assert.Null(restarted.Ring(RingSide.Rx));
    }

    [Fact]
    public async Task A_worker_that_does_not_answer_in_time_is_given_up_and_the_front_end_gets_its_reply()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker silent = Workers.Latest(0)!;
        silent.Holds = true;
        Task<ulong> reply = frontEnd.ShareMemoryAsync();
        await AwaitAssertAsync(() => Assert.Equal(1, silent.Unanswered));
        await PairsHavePassedOnAsync();
        Pass(Timeout - TimeSpan.FromMilliseconds(1));
        await StatusAsync();
        Assert.False(reply.IsCompleted);

        Pass(TimeSpan.FromMilliseconds(1));
        Assert.Equal(0UL, await reply);
        PairHealth[] expected = [PairHealth.Silent, PairHealth.Running];
        await StatusIsAsync(status => Assert.Equal(expected, status.Pairs.Select(pair => pair.Health)));
        await AwaitAssertAsync(() => Assert.IsType<ExitWorker>(silent.Commands[^1]));
    }

    [Fact]
    public async Task A_silent_worker_is_replaced_only_when_its_thread_has_ended()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker silent = await SilenceAsync(frontEnd);

        await frontEnd.KickAsync(0);
        await StatusAsync();
        Pass(TimeSpan.FromMinutes(5));
        await frontEnd.SyncAsync();
        Assert.Single(Workers.Of(0));

        silent.Answer();
        FakeWorker restarted = await WorkerAsync(0, generation: 2);
        await RunsAsync(restarted, RingSide.Rx, RingSide.Tx);
        await AwaitAssertAsync(() => Assert.Equal([0, 1], Host.Latest.ActivePairs.ToArray()));
    }

    [Fact]
    public async Task Each_answer_gives_a_busy_worker_more_time()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker slow = Workers.Latest(0)!;
        slow.Holds = true;
        Task<byte[]> reply = frontEnd.BeginAsync(RequestCode.ResetDevice);
        await AwaitAssertAsync(() => Assert.Equal(2, slow.Unanswered));
        await StatusAsync();
        Pass(Timeout * 0.75);
        slow.AnswerOne();
        await PairsHavePassedOnAsync();
        Pass(Timeout * 0.75);
        await StatusAsync();
        Assert.False(reply.IsCompleted);
        slow.Answer();
        await reply;
        Assert.Equal(PairHealth.Running, (await StatusAsync()).Pairs[0].Health);
    }

    [Fact]
    public async Task A_front_end_that_leaves_while_a_worker_is_silent_makes_room_for_the_next()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker silent = await SilenceAsync(frontEnd);
        frontEnd.Dispose();

        FrontEnd next = Connect();
        await next.BringUpAsync();
        Assert.NotNull(Workers.Latest(1)!.Ring(RingSide.Rx));
        silent.Answer();
        await RunsAsync(await WorkerAsync(0, generation: 2), RingSide.Rx, RingSide.Tx);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_last_word_of_a_silent_worker_does_not_undo_what_was_said_since(bool byAnotherFrontEnd)
    {
        StartDevice(pairs: 1);
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync(pairs: 1);
        FakeWorker silent = await SilenceAsync(frontEnd);
        silent.Bases[(int)RingSide.Rx] = 77;
        silent.Bases[(int)RingSide.Tx] = 78;
        if (byAnotherFrontEnd)
        {
            frontEnd.Dispose();
            frontEnd = Connect();
            await frontEnd.BringUpAsync(pairs: 1);
        }
        else
        {
            await frontEnd.StopRingAsync(0);
            Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.SetVringBase, new VringState(0, 5).ToBytes()));
            await frontEnd.KickAsync(0);
        }

        silent.Answer();

        FakeWorker restarted = await WorkerAsync(0, generation: 2);
        await RunsAsync(restarted, RingSide.Rx, RingSide.Tx);
        (uint, uint) expected = byAnotherFrontEnd ? (0u, 0u) : (5u, 78u);
        Assert.Equal(expected, (restarted.Ring(RingSide.Rx)!.Base, restarted.Ring(RingSide.Tx)!.Base));
    }

    [Fact]
    public async Task A_ring_that_broke_stays_broken_over_a_restart_of_its_worker()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker worker = Workers.Latest(0)!;
        worker.Break(RingSide.Tx, "its addresses are wrong");
        worker.Die("it broke as well");
        FakeWorker restarted = await WorkerAsync(0, generation: 2);
        await RunsAsync(restarted, RingSide.Rx);
        await frontEnd.SyncAsync();
        Assert.Null(restarted.Ring(RingSide.Tx));
    }

    [Fact]
    public async Task A_failure_while_the_front_end_is_being_let_go_does_not_keep_it()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        FakeWorker worker = Workers.Latest(1)!;
        worker.Holds = true;
        frontEnd.Dispose();
        await StatusIsAsync(status => Assert.Equal(DevicePhase.Closing, status.Phase));
        await AwaitAssertAsync(() => Assert.NotEqual(0, worker.Unanswered));
        worker.Die("it broke");
        await StatusIsAsync(status => Assert.Equal((DevicePhase.Listening, 0), (status.Phase, status.MemoryRegions)));
        await WorkerAsync(1, generation: 2);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task After_a_fault_of_the_actor_itself_no_worker_is_started_beside_one_that_still_lives(bool hangs)
    {
        StartDevice(pairs: 1);
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync(pairs: 1);
        Workers.Latest(0)!.Hangs = hangs;
        await LogsAsync(
            EventFilter.Error(contains: "pair 0: given up"),
            () => Sys.ActorSelection(Device.Path / "pair-0").Tell(new PostCommands(1, null!)));

        await frontEnd.KickAsync(0);
        if (!hangs)
        {
            await RunsAsync(await WorkerAsync(0, generation: 2), RingSide.Rx, RingSide.Tx);
        }

        await frontEnd.SyncAsync();
        Assert.Equal(hangs ? 1 : 2, Workers.All.Count);
    }

    /// <summary>Fails a pair's worker until supervision gives up.</summary>
    private async Task ExhaustAsync(int pair)
    {
        for (int generation = 1; generation <= TestDevices.Restart.MaxRestarts; generation++)
        {
            Workers.Latest(pair)!.Die($"failure {generation}");
            await WorkerAsync(pair, generation + 1);
        }

        await LogsAsync(
            EventFilter.Error(contains: $"pair {pair}: given up"),
            () => Workers.Latest(pair)!.Die("the last failure"));
    }

    /// <summary>Makes pair 0's worker overdue; its thread hangs until it is told to answer.</summary>
    private async Task<FakeWorker> SilenceAsync(FrontEnd frontEnd)
    {
        FakeWorker silent = Workers.Latest(0)!;
        silent.Holds = true;
        Task<ulong> reply = frontEnd.ShareMemoryAsync();
        await AwaitAssertAsync(() => Assert.Equal(1, silent.Unanswered));
        await PairsHavePassedOnAsync();
        Pass(Timeout);
        await reply;
        return silent;
    }

    private async Task FrontEndIsServedWithoutWorkerAsync()
    {
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync(pairs: 1);
        Assert.Equal(RingActivity.Stopped, (await StatusAsync()).Pairs[0].Rx);
    }
}
