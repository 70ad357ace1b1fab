using System.Collections.Immutable;
using Akka.Actor;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Support;

/// <summary>
/// A device's supervisor over a real socket, with fake workers and a fake host's side. Time stands still unless
/// <see cref="Pass"/> moves it.
/// </summary>
public abstract class DeviceTest : TestKit
{
    private readonly string _directory = Directory.CreateTempSubdirectory("ringmaster-").FullName;
    private readonly List<FrontEnd> _frontEnds = [];

    /// <param name="logLevel">The least severe line that <c>EventFilter</c> sees.</param>
    protected DeviceTest(string logLevel = "WARNING")
        : base($"{TestConfiguration.VirtualTime}\nakka.loglevel = {logLevel}") => Parent = CreateTestProbe("parent");

    internal ReadinessLoop Loop { get; } = new("test");

    internal FakeWorkers Workers { get; } = new();

    internal FakeHost Host { get; } = new();

    protected TestProbe Parent { get; }

    protected IActorRef Device { get; private set; } = ActorRefs.Nobody;

    protected string Socket => Path.Combine(_directory, "sock");

    internal DeviceParts Parts => new(
        Loop,
        Workers.Start,
        settings => new FakeKind(settings, Host),
        ImmutableDictionary<int, OwnedFd>.Empty);

    /// <summary>Starts a device and waits until it is up.</summary>
    protected void StartDevice(int pairs = 2, Func<DeviceSettings, DeviceSettings>? change = null)
    {
        CreateDevice(pairs, change);
        Parent.ExpectMsg<DeviceUp>(up => up.Name == "net0");
        AwaitAssert(() => Assert.Equal(pairs, Workers.All.Count));
    }

    /// <summary>Starts a device.</summary>
    protected void CreateDevice(int pairs = 2, Func<DeviceSettings, DeviceSettings>? change = null)
    {
        DeviceSettings settings = TestDevices.Create("net0", Socket, pairs);
        settings = change?.Invoke(settings) ?? settings;
        Props props = DeviceSupervisor.Props(settings, Parts, [.. Enumerable.Repeat<int?>(null, pairs)]);
        Device = Parent.ChildActorOf(props, "net0");
    }

    internal FrontEnd Connect() => Connect(Socket);

    internal FrontEnd Connect(string socket)
    {
        FrontEnd frontEnd = FrontEnd.Connect(socket, Loop);
        _frontEnds.Add(frontEnd);
        return frontEnd;
    }

    /// <summary>Moves time.</summary>
    protected void Pass(TimeSpan time) => ((TestScheduler)Sys.Scheduler).Advance(time);

    /// <summary>The worker of a generation; waits until there is one, with time moving.</summary>
    internal async Task<FakeWorker> WorkerAsync(int pair, long generation)
    {
        FakeWorker? found = null;
        await AwaitAssertAsync(
            () =>
            {
                found = Workers.Of(pair).FirstOrDefault(worker => worker.Generation == generation);
                if (found is null)
                {
                    Pass(TimeSpan.FromMilliseconds(20));
                }

                Assert.NotNull(found);
            },
            interval: TimeSpan.FromMilliseconds(5));
        return found!;
    }

    protected Task<DeviceSnapshot> StatusAsync() =>
        Device.Ask<DeviceSnapshot>(GetDeviceStatus.Instance, TestConfiguration.Patience);

    /// <summary>Waits for a state of the device.</summary>
    protected Task StatusIsAsync(Action<DeviceSnapshot> assert) => AwaitAssertAsync(async () => assert(await StatusAsync()));

    /// <summary>
    /// Waits until the device has seen what the workers answer to all that it has told them: that goes through the pairs' actors,
    /// whereas the device's status does not.
    /// </summary>
    protected async Task PairsHavePassedOnAsync()
    {
        foreach (PairStatus pair in (await StatusAsync()).Pairs)
        {
            // Found behind the commands, and then behind the answers to them.
            ActorSelection actor = Sys.ActorSelection(Device.Path / $"pair-{pair.Pair}");
            await actor.ResolveOne(TestConfiguration.Patience);
            await actor.ResolveOne(TestConfiguration.Patience);
        }

        await StatusAsync();
    }

    protected async Task<IReadOnlyList<WorkerHandle>> WorkersAsync() =>
        (await Device.Ask<WorkerList>(GetWorkers.Instance, TestConfiguration.Patience)).Workers;

    /// <summary>Does something that is logged once.</summary>
    protected static Task LogsAsync(IEventFilterApplier line, Action action) => line.ExpectAsync(1, () =>
    {
        action();
        return Task.CompletedTask;
    });

    internal Task RunsAsync(FakeWorker worker, params RingSide[] sides) => AwaitAssertAsync(() =>
    {
        Assert.All(sides, side => Assert.NotNull(worker.Ring(side)));
    });

    protected override void AfterAll()
    {
        _frontEnds.ForEach(frontEnd => frontEnd.Dispose());
        base.AfterAll();
        Loop.Dispose();
        Directory.Delete(_directory, recursive: true);
    }
}
