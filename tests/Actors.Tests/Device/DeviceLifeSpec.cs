using Ringmaster.Actors.Backend;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Settings;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>How a device comes up, fails to, and stops.</summary>
public sealed class DeviceLifeSpec : DeviceTest
{
    private static readonly RestartSettings WithoutBackoff =
        TestDevices.Restart with { MinBackoff = TimeSpan.Zero, MaxBackoff = TimeSpan.Zero };

    [Fact]
    public async Task A_device_comes_up_with_a_worker_for_each_pair_and_listens()
    {
        StartDevice(pairs: 3);
        await StatusIsAsync(status =>
        {
            Assert.Equal(DevicePhase.Listening, status.Phase);
            Assert.Equal([0, 1, 2], status.Pairs.Select(pair => pair.Pair));
            Assert.All(status.Pairs, pair => Assert.Equal(PairHealth.Running, pair.Health));
        });
        Assert.True(File.Exists(Socket));
    }

    [Fact]
    public async Task A_device_that_cannot_be_opened_says_why_and_tries_again()
    {
        Host.FailingOpens = 2;
        CreateDevice();
        Parent.ExpectMsg<DeviceFailed>(failed => failed.Reason == "no such interface");
        Assert.Equal(DevicePhase.Failed, (await StatusAsync()).Phase);

        Pass(TestDevices.Restart.MinBackoff);
        Parent.ExpectMsg<DeviceFailed>();
        await StatusIsAsync(status => Assert.Equal(DevicePhase.Failed, status.Phase));
        Pass(2 * TestDevices.Restart.MinBackoff);
        Parent.ExpectMsg<DeviceUp>();
        Assert.Null((await StatusAsync()).Error);
    }

    [Fact]
    public async Task Without_a_back_off_the_next_attempt_still_waits_a_moment()
    {
        Host.FailingOpens = 1;
        CreateDevice(change: settings => settings with { Restart = WithoutBackoff });
        Parent.ExpectMsg<DeviceFailed>();
        await StatusIsAsync(status => Assert.Equal(DevicePhase.Failed, status.Phase));

        Pass(Backoff.Floor - TimeSpan.FromMilliseconds(1));
        Assert.Equal(DevicePhase.Failed, (await StatusAsync()).Phase);
        Pass(TimeSpan.FromMilliseconds(1));
        Parent.ExpectMsg<DeviceUp>();
    }

    [Fact]
    public void A_device_that_fails_again_and_again_is_not_made_anew_without_a_pause()
    {
        var device = new DeviceRecord(TestDevices.Create("net0", Socket) with { Restart = WithoutBackoff }, []);
        Assert.All(Enumerable.Range(0, 3), _ => Assert.Equal(Backoff.Floor, device.NextRestart(TimeSpan.FromHours(1))));
    }

    [Fact]
    public void An_interface_that_a_killed_process_has_not_let_go_of_yet_is_waited_for()
    {
        Host.FailingOpens = 3;
        Host.OpenFailure = new LinuxException("open TAP net0", Errno.EBUSY);
        CreateDevice();

        LetTimePassUntilParentIsTold();
        Parent.ExpectMsg<DeviceUp>();
    }

    [Fact]
    public void An_interface_that_stays_busy_is_a_failure()
    {
        Host.FailingOpens = int.MaxValue;
        Host.OpenFailure = new LinuxException("open TAP net0", Errno.EBUSY);
        CreateDevice();

        LetTimePassUntilParentIsTold();
        Assert.Contains("EBUSY", Parent.ExpectMsg<DeviceFailed>().Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_socket_that_cannot_be_bound_is_a_failure_that_leaves_nothing_open()
    {
        using var other = UnixListener.Bind(Socket);
        CreateDevice();
        Assert.Contains("EADDRINUSE", Parent.ExpectMsg<DeviceFailed>().Reason, StringComparison.Ordinal);
        Assert.Equal(1, Host.Disposed);
        Assert.Empty(await WorkersAsync());
    }

    [Fact]
    public async Task A_device_that_is_stopped_ends_its_workers_and_removes_its_socket()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        Watch(Device);
        Device.Tell(StopDevice.Instance, TestActor);

        ExpectTerminated(Device);
        await frontEnd.ClosedAsync();
        Assert.All(Workers.All, worker => Assert.Equal(WorkerState.Exited, worker.State));
        Assert.Equal(1, Host.Disposed);
        Assert.False(File.Exists(Socket));
    }

    [Fact]
    public async Task A_device_whose_worker_hangs_stops_all_the_same()
    {
        StartDevice();
        Workers.Latest(0)!.Hangs = true;
        Watch(Device);
        Device.Tell(StopDevice.Instance, TestActor);
        await AwaitAssertAsync(() => Assert.Equal(WorkerState.Exited, Workers.Latest(1)!.State));
        await StatusAsync();
        Pass(TimeSpan.FromSeconds(1));
        ExpectTerminated(Device);
        Assert.Equal(1, Host.Disposed);
    }

    [Fact]
    public async Task A_device_that_is_stopped_while_it_opens_closes_what_it_gets()
    {
        Host.Gate.Reset();
        CreateDevice();
        await AwaitAssertAsync(() => Assert.Equal(1, Host.Waiting));
        Watch(Device);
        Device.Tell(StopDevice.Instance, TestActor);
        Assert.Equal(DevicePhase.Stopping, (await StatusAsync()).Phase);
        Host.Gate.Set();
        ExpectTerminated(Device);
        Assert.Equal((1, 1), (Host.Opened, Host.Disposed));
        Assert.False(File.Exists(Socket));
        Assert.Empty(Workers.All);
    }

    [Fact]
    public async Task A_device_whose_actor_is_gone_before_it_is_open_closes_what_it_gets()
    {
        Host.Gate.Reset();
        CreateDevice();
        await AwaitAssertAsync(() => Assert.Equal(1, Host.Waiting));
        Watch(Device);
        Sys.Stop(Device);
        ExpectTerminated(Device);
        Host.Gate.Set();
        await AwaitAssertAsync(() => Assert.Equal((1, 1), (Host.Opened, Host.Disposed)));
        Assert.False(File.Exists(Socket));
    }

    [Fact]
    public async Task A_device_that_is_stopped_while_a_message_is_prepared_releases_what_came_of_it()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        Host.Gate.Reset();
        frontEnd.Send(RequestCode.NetSetMtu, FrontEnd.U64(9000));
        await AwaitAssertAsync(() => Assert.Equal(1, Host.Waiting));
        Watch(Device);
        Device.Tell(StopDevice.Instance, TestActor);
        await frontEnd.ClosedAsync();
        Host.Gate.Set();
        ExpectTerminated(Device);
        Assert.Equal(1, Host.Disposed);
    }

    private void LetTimePassUntilParentIsTold() => AwaitAssert(
        () =>
        {
            Pass(TimeSpan.FromMilliseconds(20));
            Assert.True(Parent.HasMessages);
        },
        interval: TimeSpan.FromMilliseconds(5));
}
