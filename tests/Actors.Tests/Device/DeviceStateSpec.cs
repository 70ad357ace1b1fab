using Akka.Actor;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.Settings;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>What a device holds, on its way out of one and into another.</summary>
public sealed class DeviceStateSpec : DeviceTest
{
    private const ProtocolFeatures Protocol =
        TestDevices.ProtocolFeatures | ProtocolFeatures.DeviceState | ProtocolFeatures.Config;
    private const ulong Begins = 0x100;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private static readonly MacAddress Mac = MacAddress.Parse("02:00:00:00:00:77");

    private readonly FakeWorkers _secondWorkers = new();
    private FakeHost? _secondHost;

    [Fact]
    public async Task What_one_device_held_another_one_holds_when_CHECK_DEVICE_STATE_is_answered()
    {
        FrontEnd source = await NegotiateAsync();
        Assert.Equal(0UL, await source.DoAsync(RequestCode.NetSetMtu, FrontEnd.U64(4000)));
        Assert.Equal(0UL, await source.DoAsync(RequestCode.SetConfig, MacPiece(Mac)));
        Assert.False((await Device.Ask<LinkSet>(new SetLink(false))).Up);
        byte[] state = await SaveAsync(source);

        (IActorRef there, FrontEnd target) = await StartSecondAsync();
        Assert.Equal(0UL, await LoadAsync(target, state));

        Assert.Equal(4000, _secondHost!.Latest.Mtu);
        Assert.Equal(state, await SaveAsync(target));
        Assert.False((await there.Ask<DeviceSnapshot>(GetDeviceStatus.Instance, Patience)).LinkUp);
        byte[] config = await target.AskAsync(RequestCode.GetConfig, new ConfigPayload(0, 12, 0, new byte[12]).ToBytes());
        Assert.Equal([.. Mac.ToArray(), 0, 0, 2, 0, 0xA0, 0x0F], config[ConfigPayload.HeaderSize..]);
    }

    [Fact]
    public async Task Counters_go_on_from_where_they_were_and_a_new_worker_neither_loses_nor_doubles_them()
    {
        FrontEnd source = await NegotiateAsync();
        Count(Workers, pair: 1, WorkerCounter.TxFrames, 100);
        Count(Workers, pair: 1, WorkerCounter.Kicks, 50);
        byte[] state = await SaveAsync(source);
        (IActorRef there, FrontEnd target) = await StartSecondAsync();
        Count(_secondWorkers, pair: 1, WorkerCounter.TxFrames, 7);
        Count(_secondWorkers, pair: 0, WorkerCounter.RxFrames, 7);

        Assert.Equal(0UL, await LoadAsync(target, state));
        Assert.Equal(0UL, await LoadAsync(target, state));
        Assert.Equal((100, 0, 0), await CountedAsync(there));

        Assert.True((await there.Ask<WorkerFaultInjected>(new InjectWorkerFault(1, "test"), Patience)).Posted);
        await AwaitAssertAsync(
            () =>
            {
                Pass(TimeSpan.FromMilliseconds(20));
                Assert.Equal(2, _secondWorkers.Of(1).Count);
            },
            interval: TimeSpan.FromMilliseconds(5));
        Count(_secondWorkers, pair: 1, WorkerCounter.TxFrames, 11);
        Count(_secondWorkers, pair: 1, WorkerCounter.Kicks, 3);
        Assert.Equal((111, 0, 3), await CountedAsync(there));

        Assert.Equal(0UL, await LoadAsync(source, await SaveAsync(target)));
        Assert.Equal((111, 0, 50), await CountedAsync(Device));
    }

    [Fact]
    public async Task A_state_that_says_nothing_of_counters_leaves_them_as_they_are()
    {
        FrontEnd frontEnd = await NegotiateAsync();
        Count(Workers, pair: 1, WorkerCounter.TxFrames, 100);

        Assert.Equal(0UL, await LoadAsync(frontEnd, new NetDeviceState(4000, null, false, null).ToBytes()));

        Assert.Equal((100, 0, 0), await CountedAsync(Device));
    }

    [Fact]
    public async Task A_device_that_was_told_nothing_changes_nothing_in_another()
    {
        byte[] state = await SaveAsync(await NegotiateAsync());
        (IActorRef there, FrontEnd target) = await StartSecondAsync();
        Assert.Equal(0UL, await target.DoAsync(RequestCode.NetSetMtu, FrontEnd.U64(2000)));

        Assert.Equal(0UL, await LoadAsync(target, state));

        Assert.Equal(2000, _secondHost!.Latest.Mtu);
        Assert.True((await there.Ask<DeviceSnapshot>(GetDeviceStatus.Instance, Patience)).LinkUp);
    }

    [Fact]
    public async Task A_link_that_was_loaded_as_held_down_is_so_for_that_front_end_alone()
    {
        FrontEnd frontEnd = await NegotiateAsync();
        Assert.Equal(0UL, await LoadAsync(frontEnd, new NetDeviceState(null, null, true, null).ToBytes()));
        Assert.False((await StatusAsync()).LinkUp);
        frontEnd.Dispose();

        await StatusIsAsync(status => Assert.Equal((DevicePhase.Listening, true), (status.Phase, status.LinkUp)));
    }

    [Fact]
    public async Task A_link_that_was_loaded_as_held_down_can_be_let_go()
    {
        FrontEnd frontEnd = await NegotiateAsync();
        Assert.Equal(0UL, await LoadAsync(frontEnd, new NetDeviceState(null, null, true, null).ToBytes()));

        Assert.True((await Device.Ask<LinkSet>(new SetLink(true), Patience)).Up);
    }

    [Fact]
    public async Task A_state_that_makes_no_sense_is_refused_and_the_session_lives_on()
    {
        FrontEnd frontEnd = await NegotiateAsync();
        byte[] good = new NetDeviceState(4000, null, false, null).ToBytes();

        Assert.NotEqual(0UL, await LoadAsync(frontEnd, []));
        Assert.NotEqual(0UL, await LoadAsync(frontEnd, good[..^1]));
        Assert.NotEqual(0UL, await LoadAsync(frontEnd, new byte[4096]));
        Assert.NotEqual(0UL, await CheckAsync(frontEnd));
        Assert.Null(Host.Latest.Mtu);

        Assert.Equal(0UL, await LoadAsync(frontEnd, good));
        Assert.Equal(4000, Host.Latest.Mtu);
        Assert.NotEqual(0UL, await CheckAsync(frontEnd));
    }

    [Fact]
    public async Task What_the_host_refuses_was_not_loaded()
    {
        FrontEnd frontEnd = await NegotiateAsync();
        byte[] before = await SaveAsync(frontEnd);
        Host.RefusesChanges = "no";

        NetDeviceState state = new(4000, Mac, true, CounterTable.Of(2, (_, _) => 9));
        Assert.NotEqual(0UL, await LoadAsync(frontEnd, state.ToBytes()));

        Host.RefusesChanges = null;
        Assert.Equal(before, await SaveAsync(frontEnd));
        Assert.Equal((0, 0, 0), await CountedAsync(Device));
        Assert.True((await StatusAsync()).LinkUp);
    }

    [Fact]
    public async Task CHECK_DEVICE_STATE_waits_for_the_end_and_the_device_answers_others_meanwhile()
    {
        FrontEnd frontEnd = await NegotiateAsync();
        using OwnedFd write = await BeginLoadAsync(frontEnd);
        Task<byte[]> check = frontEnd.AskAsync(RequestCode.CheckDeviceState);
        Write(write, new NetDeviceState(4000, null, false, null).ToBytes());

        await StatusAsync();
        Assert.False(check.IsCompleted);
        write.Dispose();

        Assert.Equal(FrontEnd.U64(0), await check);
    }

    [Fact]
    public async Task A_transfer_ends_with_its_session_and_with_the_next_transfer()
    {
        FrontEnd frontEnd = await NegotiateAsync();
        using OwnedFd first = await BeginLoadAsync(frontEnd);
        using OwnedFd second = await BeginLoadAsync(frontEnd);
        await AwaitAssertAsync(() => AssertClosed(first));
        Assert.True(IsOpen(second));

        frontEnd.Dispose();

        await StatusIsAsync(status => Assert.Equal(DevicePhase.Listening, status.Phase));
        await AwaitAssertAsync(() => AssertClosed(second));
    }

    [Fact]
    public async Task A_device_that_stops_waits_for_no_transfer()
    {
        FrontEnd frontEnd = await NegotiateAsync();
        using OwnedFd write = await BeginLoadAsync(frontEnd);
        frontEnd.Send(RequestCode.CheckDeviceState);
        Watch(Device);

        Device.Tell(StopDevice.Instance);

        await ExpectTerminatedAsync(Device, Patience);
        await AwaitAssertAsync(() => AssertClosed(write));
    }

    private static void Count(FakeWorkers workers, int pair, WorkerCounter counter, long amount) =>
        workers.Of(pair)[^1].Counters.Add(counter, amount);

    /// <summary>Frames sent by pair 1, frames received by pair 0, and kicks of pair 1.</summary>
    private static async Task<(long Sent, long Received, long Kicks)> CountedAsync(IActorRef device)
    {
        WorkerList list = await device.Ask<WorkerList>(GetWorkers.Instance, Patience);
        (PairCounters first, PairCounters second) = (list.Workers[0].Counters, list.Workers[1].Counters);
        return (second[WorkerCounter.TxFrames], first[WorkerCounter.RxFrames], second[WorkerCounter.Kicks]);
    }

    private static byte[] MacPiece(MacAddress mac) => new ConfigPayload(0, MacAddress.Size, 1, mac.ToArray()).ToBytes();

    private static void Write(OwnedFd fd, byte[] bytes) => StateChannel.WriteAll(fd, bytes, Patience, CancellationToken.None);

    /// <summary>Writing tells whether anybody could still read.</summary>
    private static bool IsOpen(OwnedFd write) => EventFd.Signal(write).Ok;

    private static void AssertClosed(OwnedFd write) => Assert.False(IsOpen(write));

    private static async Task<byte[]> SaveAsync(FrontEnd frontEnd)
    {
        (OwnedFd read, OwnedFd write) = Pipe.Create();
        using (read)
        {
            using (write)
            {
                Assert.Equal(Begins, await SetChannelAsync(frontEnd, DeviceStatePayload.Save, write));
            }

            byte[] state = StateChannel.ReadToEnd(read, 4096, Patience, CancellationToken.None);
            Assert.Equal(0UL, await CheckAsync(frontEnd));
            return state;
        }
    }

    private static async Task<ulong> LoadAsync(FrontEnd frontEnd, byte[] state)
    {
        using (OwnedFd write = await BeginLoadAsync(frontEnd))
        {
            Write(write, state);
        }

        return await CheckAsync(frontEnd);
    }

    private static async Task<OwnedFd> BeginLoadAsync(FrontEnd frontEnd)
    {
        (OwnedFd read, OwnedFd write) = Pipe.Create();
        using (read)
        {
            Assert.Equal(Begins, await SetChannelAsync(frontEnd, DeviceStatePayload.Load, read));
            return write;
        }
    }

    private static async Task<ulong> SetChannelAsync(FrontEnd frontEnd, uint direction, OwnedFd fd) => BitConverter.ToUInt64(
        await frontEnd.AskAsync(RequestCode.SetDeviceStateFd, new DeviceStatePayload(direction, 0).ToBytes(), fd));

    private static async Task<ulong> CheckAsync(FrontEnd frontEnd) =>
        BitConverter.ToUInt64(await frontEnd.AskAsync(RequestCode.CheckDeviceState));

    private async Task<FrontEnd> NegotiateAsync()
    {
        StartDevice(change: device => device with { ProtocolFeatures = Protocol });
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync(TestDevices.Features, Protocol);
        return frontEnd;
    }

    /// <summary>A device of its own, with a host of its own, in the same process.</summary>
    private async Task<(IActorRef Device, FrontEnd FrontEnd)> StartSecondAsync()
    {
        _secondHost = new FakeHost();
        DeviceSettings settings = TestDevices.Create("net1", Socket + "1") with { ProtocolFeatures = Protocol };
        DeviceParts parts = Parts with { Workers = _secondWorkers.Start, Kinds = each => new FakeKind(each, _secondHost) };
        IActorRef device = Parent.ChildActorOf(DeviceSupervisor.Props(settings, parts, [null, null]), "net1");
        Parent.ExpectMsg<DeviceUp>(up => up.Name == "net1");
        FrontEnd frontEnd = Connect(settings.Socket);
        await frontEnd.NegotiateAsync(TestDevices.Features, Protocol);
        return (device, frontEnd);
    }
}
