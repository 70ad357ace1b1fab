using System.Net.Sockets;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Settings;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>The front-end listens, and the device connects to it, for ever.</summary>
public sealed class ClientModeSpec() : DeviceTest(logLevel: "DEBUG")
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Shortest = TestDevices.Connect.MinBackoff;

    [Fact]
    public async Task A_front_end_that_listens_is_served()
    {
        using var listener = UnixListener.Bind(Socket);
        StartClient();
        using FrontEnd frontEnd = await AcceptAsync(listener);
        await frontEnd.BringUpAsync();

        Assert.Equal(DevicePhase.Serving, (await StatusAsync()).Phase);
        Assert.All(Workers.All, worker => Assert.NotNull(worker.Ring(RingSide.Rx)));
    }

    [Fact]
    public async Task A_device_is_up_before_its_front_end_is_there_and_says_once_that_nobody_listens()
    {
        await EventFilter.Info(contains: "net0: nobody listens there; next attempt in 100 ms").ExpectAsync(1, async () =>
        {
            await EventFilter.Info(contains: $"net0: up, connects to the front-end at {Socket}; ").ExpectAsync(1, () =>
            {
                StartClient();
                return Task.CompletedTask;
            });
            await StatusIsAsync(status =>
                Assert.Equal((DevicePhase.Connecting, "nobody listens there"), (status.Phase, status.Error)));
            int[] waits = [100, 200, 400, 800, 1000, 1000];
            for (int attempt = 2; attempt <= waits.Length; attempt++)
            {
                (int wait, int next) = (waits[attempt - 2], waits[attempt - 1]);
                string line = $"net0: attempt {attempt} to connect: ENOENT: No such file or directory; next in {next} ms";
                await LogsAsync(EventFilter.Debug(contains: line), () => Pass(TimeSpan.FromMilliseconds(wait)));
            }
        });
    }

    [Fact]
    public async Task A_socket_file_left_over_by_a_front_end_that_ended_is_the_ordinary_case_too()
    {
        LeaveSocketFile();
        await LogsAsync(EventFilter.Info(contains: "net0: nobody listens there"), StartClient);
        await LogsAsync(EventFilter.Debug(contains: "net0: attempt 2 to connect: ECONNREFUSED"), () => Pass(Shortest));
        Assert.True(File.Exists(Socket));
    }

    [Fact]
    public async Task What_is_not_ordinary_is_a_warning_and_is_tried_again_as_well()
    {
        // No directory leads through a file.
        await File.WriteAllTextAsync(Socket, "precious");
        string beyond = Path.Combine(Socket, "sock");
        await LogsAsync(
            EventFilter.Warning(contains: "net0: errno 20: Not a directory; next attempt in 100 ms"),
            () => StartClient(beyond));

        File.Delete(Socket);
        Directory.CreateDirectory(Socket);
        using var listener = UnixListener.Bind(beyond);
        Pass(Shortest);
        using FrontEnd frontEnd = await AcceptAsync(listener);
        await frontEnd.NegotiateAsync();
        Assert.Null((await StatusAsync()).Error);
    }

    [Fact]
    public async Task After_a_front_end_that_ran_rings_the_next_one_is_tried_after_the_shortest_wait_each_time()
    {
        using var listener = UnixListener.Bind(Socket);
        StartClient();
        for (int session = 1; session <= 3; session++)
        {
            FrontEnd frontEnd = await AcceptAsync(listener);
            await frontEnd.BringUpAsync();
            Assert.Equal(session, (await StatusAsync()).Sessions);
            frontEnd.Dispose();
            await StatusIsAsync(status => Assert.Equal((DevicePhase.Connecting, 0), (status.Phase, status.MemoryRegions)));
            Pass(Shortest);
        }

        using FrontEnd last = await AcceptAsync(listener);
        await last.BringUpAsync();
    }

    [Fact]
    public async Task A_front_end_that_hangs_up_at_once_is_tried_ever_more_slowly()
    {
        var listener = UnixListener.Bind(Socket);
        StartClient();
        for (int session = 1; session <= 3; session++)
        {
            (await AcceptAsync(listener)).Dispose();
            await StatusIsAsync(status => Assert.Equal((DevicePhase.Connecting, session), (status.Phase, status.Sessions)));
            if (session < 3)
            {
                Pass(Shortest * Math.Pow(2, session - 1));
            }
        }

        // The third wait is 400 ms and the attempt after it the fourth to fail, which shows how long the waits were.
        listener.Dispose();
        await LogsAsync(
            EventFilter.Info(contains: "net0: nobody listens there; next attempt in 800 ms"),
            () => Pass(Shortest * 4));
    }

    [Fact]
    public async Task A_device_that_is_stopped_while_nobody_listens_leaves_the_socket_file_alone()
    {
        LeaveSocketFile();
        await LogsAsync(EventFilter.Info(contains: "net0: nobody listens there"), StartClient);
        Watch(Device);
        Device.Tell(StopDevice.Instance, TestActor);
        ExpectTerminated(Device, Patience);

        Pass(TestDevices.Connect.MaxBackoff);
        Assert.True(File.Exists(Socket));
        Assert.Equal((1, 1), (Host.Opened, Host.Disposed));
    }

    [Fact]
    public void A_connection_made_while_the_door_was_being_closed_is_closed_again()
    {
        using var listener = UnixListener.Bind(Socket);
        DeviceSettings settings = TestDevices.Create("net0", Socket) with { Mode = DeviceMode.Client };
        using var answered = new ManualResetEventSlim();
        FrontendDoor door = FrontendDoor.Open(settings, Parts, _ => answered.Set());
        door.Await();
        Assert.True(answered.Wait(Patience));
        door.Dispose();

        using OwnedFd served = listener.TryAccept()!;
        Assert.Null(door.TryAccept());
        Assert.True(IsClosedByPeer(served));
    }

    private void StartClient() => StartClient(Socket);

    private void StartClient(string socket) =>
        StartDevice(change: settings => settings with { Mode = DeviceMode.Client, Socket = socket });

    private async Task<FrontEnd> AcceptAsync(UnixListener listener)
    {
        OwnedFd? socket = null;
        await AwaitAssertAsync(() => Assert.NotNull(socket ??= listener.TryAccept()), Patience);
        return FrontEnd.Over(socket!, Loop);
    }

    private void LeaveSocketFile()
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(Socket));
        File.Move(Socket, Socket + ".kept");
        socket.Dispose();
        File.Move(Socket + ".kept", Socket);
    }

    private bool IsClosedByPeer(OwnedFd socket)
    {
        using var closed = new ManualResetEventSlim();
        using var connection = new Native.VhostUser.VhostUserConnection(socket, Loop, e =>
        {
            Assert.IsType<Native.VhostUser.ConnectionClosed>(e);
            closed.Set();
        });
        connection.ReceiveNext();
        return closed.Wait(Patience);
    }
}
