using System.Collections.Concurrent;
using System.Collections.Immutable;
using Akka.Actor;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Ringmaster.Actors.Backend;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Settings;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Tests.Backend;

public sealed class BackendSupervisorSpec : TestKit
{
    private readonly string _directory = Directory.CreateTempSubdirectory("ringmaster-").FullName;
    private readonly ReadinessLoop _loop = new("test");
    private readonly FakeWorkers _workers = new();
    private readonly ConcurrentDictionary<string, FakeHost> _hosts = new();
    private readonly IActorRef _backend;

    public BackendSupervisorSpec()
        : base(TestConfiguration.VirtualTime)
    {
        var parts = new DeviceParts(
            _loop,
            _workers.Start,
            settings => new FakeKind(settings, Host(settings.Name)),
            ImmutableDictionary<int, OwnedFd>.Empty);
        _backend = Sys.ActorOf(BackendSupervisor.Props(parts, [0, 1, 2, 3]), "backend");
    }

    [Fact]
    public void All_devices_come_up_each_with_a_supervisor_under_its_name()
    {
        Assert.All(Start(Device("net0"), Device("net1")), outcome => Assert.Null(outcome.Error));
        ImmutableArray<DeviceEntry> devices = Devices();
        Assert.Equal(["net0", "net1"], devices.Select(device => device.Name));
        Assert.All(devices, device => Assert.True(device.Up));
        Assert.Equal("/user/backend/net1", devices[1].Supervisor.Path.ToStringWithoutAddress());
    }

    [Fact]
    public void Workers_of_all_devices_share_the_CPUs_out()
    {
        Start(Device("net0"), Device("net1"));
        AwaitAssert(() => Assert.Equal([0, 1, 2, 3], _workers.All.Select(worker => worker.Cpu!.Value).Order()));
    }

    [Fact]
    public void A_device_that_cannot_be_opened_is_named_with_the_reason_and_the_others_come_up()
    {
        Host("net1").FailingOpens = 1;
        ImmutableArray<DeviceOutcome> outcomes = Start(Device("net0"), Device("net1"));
        Assert.Equal([null, "no such interface"], outcomes.Select(outcome => outcome.Error));

        AwaitAssert(() =>
        {
            Pass(TestDevices.Restart.MinBackoff / 2);
            Assert.All(Devices(), device => Assert.True(device.Up));
        });
    }

    [Fact]
    public void A_device_that_hangs_while_it_opens_is_named_in_time_and_the_others_are_up()
    {
        Host("net1").Gate.Reset();
        TestProbe asker = CreateTestProbe();
        _backend.Tell(new StartDevices([Device("net0"), Device("net1")]), asker.Ref);
        AwaitAssert(() => Assert.Equal([true, false], Devices().Select(device => device.Up)));
        Pass(PendingReplies.Patience - TimeSpan.FromMilliseconds(1));
        Devices();
        Assert.False(asker.HasMessages);

        Pass(TimeSpan.FromMilliseconds(1));

        ImmutableArray<DeviceOutcome> outcomes = asker.ExpectMsg<BackendStarted>().Outcomes;
        Assert.Equal([null, "it has not come to anything in 30 s"], outcomes.Select(outcome => outcome.Error));
        Host("net1").Gate.Set();
        AwaitAssert(() => Assert.All(Devices(), device => Assert.True(device.Up)));
        Assert.False(asker.HasMessages);
    }

    [Fact]
    public void A_reload_is_answered_in_time_whatever_hangs()
    {
        Start(Device("net0"));
        Host("net1").Gate.Reset();
        TestProbe asker = CreateTestProbe();
        _backend.Tell(new Reload([Device("net0"), Device("net1"), Device("net2")]), asker.Ref);
        AwaitAssert(() => Assert.Equal([true, false, true], Devices().Select(device => device.Up)));

        Pass(PendingReplies.Patience);

        Reloaded reloaded = asker.ExpectMsg<Reloaded>();
        Assert.Equal(["net1"], reloaded.Outcomes.Where(outcome => outcome.Error is not null).Select(outcome => outcome.Name));
        Host("net1").Gate.Set();
        AwaitAssert(() => Assert.All(Devices(), device => Assert.True(device.Up)));
    }

    [Fact]
    public void A_device_can_be_added_and_removed_while_others_run()
    {
        Start(Device("net0"));
        Assert.Null(Ask<DeviceOutcome>(new AddDevice(Device("net1"))).Error);
        Assert.True(File.Exists(Socket("net1")));
        Assert.Null(Ask<DeviceOutcome>(new RemoveDevice("net1")).Error);
        Assert.False(File.Exists(Socket("net1")));
        Assert.Equal((0, 1), (Host("net0").Disposed, Host("net1").Disposed));
        Assert.Equal("net0", Assert.Single(Devices()).Name);
    }

    [Fact]
    public void A_name_is_given_once_and_removed_only_when_it_is_there()
    {
        Start(Device("net0"));
        Assert.NotNull(Ask<DeviceOutcome>(new AddDevice(Device("net0"))).Error);
        Assert.NotNull(Ask<DeviceOutcome>(new RemoveDevice("net7")).Error);
    }

    [Fact]
    public void A_reload_touches_only_what_differs()
    {
        Start(Device("keep"), Device("change"), Device("drop"));
        Reloaded reloaded = Ask<Reloaded>(new Reload([Device("keep"), Device("change") with { Mtu = 9000 }, Device("add")]));

        Assert.Equal(["add"], reloaded.Added.ToArray());
        Assert.Equal(["drop"], reloaded.Removed.ToArray());
        Assert.Equal(["change"], reloaded.Restarted.ToArray());
        Assert.All(reloaded.Outcomes, outcome => Assert.Null(outcome.Error));
        Assert.Equal([1, 2, 1, 1], new[] { "keep", "change", "drop", "add" }.Select(name => Host(name).Opened));
        Assert.Equal([0, 1, 1, 0], new[] { "keep", "change", "drop", "add" }.Select(name => Host(name).Disposed));
        Assert.Equal(["add", "change", "keep"], Devices().Select(device => device.Name));
    }

    [Fact]
    public void A_reload_that_changes_the_MTU_alone_leaves_the_device_up()
    {
        Start(Device("net0") with { Mtu = 1400 }, Device("net1") with { Mtu = 1400 });
        Host("net1").RefusesChanges = "EINVAL";
        Reload reload = new([Device("net0") with { Mtu = 9000 }, Device("net1") with { Mtu = 9000 }]);
        Reloaded reloaded = Ask<Reloaded>(reload);

        Assert.Equal(["net0"], reloaded.Adjusted.ToArray());
        Assert.Empty(reloaded.Restarted);
        Assert.Equal([null, "EINVAL"], reloaded.Outcomes.Select(outcome => outcome.Error));
        Assert.Equal((9000, null, 1), (Host("net0").Mtu, Host("net1").Mtu, Host("net0").Opened));
    }

    [Fact]
    public void An_MTU_that_could_not_be_changed_is_tried_again_by_the_next_reload()
    {
        Start(Device("net0") with { Mtu = 1400 });
        Host("net0").RefusesChanges = "EINVAL";
        Reload reload = new([Device("net0") with { Mtu = 9000 }]);
        Assert.Empty(Ask<Reloaded>(reload).Adjusted);
        Host("net0").RefusesChanges = null;

        Assert.Equal(["net0"], Ask<Reloaded>(reload).Adjusted.ToArray());

        Assert.Equal((9000, 1), (Host("net0").Mtu, Host("net0").Opened));
        Assert.Empty(Ask<Reloaded>(reload).Outcomes);
    }

    [Fact]
    public void A_reload_with_the_same_settings_read_anew_touches_nothing()
    {
        DeviceSettings first = Device("net0");
        Start(first with { Worker = first.Worker with { Cpus = [0, 1] } });
        Reloaded reloaded = Ask<Reloaded>(new Reload([first with { Worker = first.Worker with { Cpus = [0, 1] } }]));
        Assert.Empty(reloaded.Outcomes);
        Assert.Equal(1, Host("net0").Opened);
    }

    [Fact]
    public async Task A_device_whose_host_side_is_lost_is_made_anew_and_the_others_notice_nothing()
    {
        Start(Device("net0"), Device("net1"));
        using FrontEnd frontEnd = FrontEnd.Connect(Socket("net0"), _loop);
        using FrontEnd other = FrontEnd.Connect(Socket("net1"), _loop);
        await frontEnd.BringUpAsync();
        await other.BringUpAsync();
        Host("net0").RefusesChanges = "ENODEV";
        frontEnd.Dispose();

        AwaitAssert(() => Assert.False(Devices()[0].Up));
        Host("net0").RefusesChanges = null;
        AwaitAssert(() =>
        {
            Pass(TestDevices.Restart.MinBackoff / 2);
            Assert.True(Devices()[0].Up);
        });
        using FrontEnd next = FrontEnd.Connect(Socket("net0"), _loop);
        await next.BringUpAsync();
        Assert.Equal(0UL, await other.DoAsync(RequestCode.SetVringEnable, new VringState(0, 1).ToBytes()));
        Assert.Equal((2, 1), (Host("net0").Opened, Host("net1").Opened));
    }

    [Fact]
    public void An_interface_that_is_deleted_while_nobody_is_connected_is_made_anew()
    {
        Start(Device("net0"));

        Delete("net0");

        AwaitAnew("net0");
    }

    [Fact]
    public async Task An_interface_that_is_deleted_under_a_front_end_cuts_it_off_and_is_made_anew()
    {
        Start(Device("net0"));
        using FrontEnd frontEnd = FrontEnd.Connect(Socket("net0"), _loop);
        await frontEnd.BringUpAsync();

        Delete("net0");

        await frontEnd.ClosedAsync();
        AwaitAnew("net0");
        using FrontEnd next = FrontEnd.Connect(Socket("net0"), _loop);
        await next.BringUpAsync();
    }

    [Fact]
    public void Stopping_ends_all_devices_and_then_the_supervisor()
    {
        Start(Device("net0"), Device("net1"));
        Watch(_backend);
        Ask<BackendStopped>(StopBackend.Instance);
        ExpectTerminated(_backend);
        Assert.Equal((1, 1), (Host("net0").Disposed, Host("net1").Disposed));
        Assert.Empty(Directory.GetFiles(_directory));
    }

    [Fact]
    public void Stopping_does_not_wait_for_a_device_that_waits_for_its_next_attempt()
    {
        Host("net0").FailingOpens = 100;
        Start(Device("net0"));
        Ask<BackendStopped>(StopBackend.Instance);
    }

    protected override void AfterAll()
    {
        base.AfterAll();
        _loop.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private ImmutableArray<DeviceOutcome> Start(params DeviceSettings[] devices) =>
        Ask<BackendStarted>(new StartDevices([.. devices])).Outcomes;

    private ImmutableArray<DeviceEntry> Devices() => Ask<DeviceList>(GetDevices.Instance).Devices;

    private T Ask<T>(object question)
    {
        TestProbe asker = CreateTestProbe();
        _backend.Tell(question, asker.Ref);
        return asker.ExpectMsg<T>(TestConfiguration.Patience);
    }

    private void Pass(TimeSpan time) => ((TestScheduler)Sys.Scheduler).Advance(time);

    private void Delete(string device)
    {
        Host(device).Gone = true;
        Host(device).LinkChanged();
    }

    private void AwaitAnew(string device) => AwaitAssert(() =>
    {
        Pass(TestDevices.Restart.MinBackoff / 2);
        Assert.Equal(2, Host(device).Opened);
        Assert.True(Devices().Single(each => each.Name == device).Up);
    });

    private FakeHost Host(string name) => _hosts.GetOrAdd(name, _ => new FakeHost());

    private string Socket(string name) => Path.Combine(_directory, name);

    private DeviceSettings Device(string name) => TestDevices.Create(name, Socket(name));
}
