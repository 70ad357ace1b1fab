using System.Net;
using Akka.Configuration;
using Ringmaster.Actors;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Settings;
using Ringmaster.Host.Configuration;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Driver.Frames;
using Ringmaster.Native.Tap;

namespace Ringmaster.Host.Demo;

/// <summary>
/// All that the demo brings up: a network namespace, a back-end with one device in it, the guest on the other end of the device's
/// socket, and the host's sockets.
/// </summary>
internal sealed class DemoStage : IAsyncDisposable
{
    internal const string Device = "demo";
    internal const int Pairs = 2;
    private const int QueueSize = 1024;

    // TEST-NET-1 (RFC 5737): may be on any machine without a clash.
    private static readonly IPAddress HostAddress = IPAddress.Parse("192.0.2.1");
    private static readonly IPAddress GuestAddress = IPAddress.Parse("192.0.2.2");
    private static readonly MacAddress GuestMac = MacAddress.Parse("02:72:6d:00:00:02");

    private readonly string _directory;

    private DemoStage(PrivateNetwork network, string directory, RingmasterBackend backend)
    {
        Network = network;
        _directory = directory;
        Backend = backend;
        Driver = VirtioNetDriver.Start(
            FrontendClient.Connect(SocketIn(directory), TimeSpan.FromSeconds(2)),
            new VirtioNetOptions { Pairs = Pairs, QueueSize = QueueSize });
        Guest = new DemoGuest(Driver, new Station(GuestMac, Station.ToNumber(GuestAddress)), Station.ToNumber(HostAddress));
        Hosts = [.. Enumerable.Range(0, Pairs).Select(pair => new DemoHost(network, HostAddress, pair))];
        Guest.Start();
    }

    internal PrivateNetwork Network { get; }

    internal RingmasterBackend Backend { get; }

    internal VirtioNetDriver Driver { get; }

    internal DemoGuest Guest { get; }

    internal IReadOnlyList<DemoHost> Hosts { get; }

    /// <summary>After the end: whether the back-end has left its socket behind.</summary>
    internal bool SocketLeft { get; private set; }

    /// <param name="network">Stays the caller's.</param>
    /// <param name="verbose">True: the back-end logs to the console.</param>
    /// <exception cref="BackendStartException">The TAP could not be made.</exception>
    internal static async Task<DemoStage> OpenAsync(PrivateNetwork network, bool verbose)
    {
        string directory = Directory.CreateTempSubdirectory("ringmaster-demo-").FullName;
        try
        {
            BackendSettings settings = Settings(network, directory);
            Config? log = verbose ? null : ConfigurationFactory.ParseString("akka { loglevel = OFF, stdout-loglevel = OFF }");
            RingmasterBackend backend = await RingmasterBackend.StartAsync(settings, log);
            return new DemoStage(network, directory, backend);
        }
        catch
        {
            Directory.Delete(directory, recursive: true);
            throw;
        }
    }

    /// <summary>The pairs' workers at this moment.</summary>
    internal async Task<IReadOnlyList<WorkerHandle>> WorkersAsync() => await Backend.GetWorkersAsync(Device);

    /// <summary>Ends everything but the namespace.</summary>
    public async ValueTask DisposeAsync()
    {
        Guest.Dispose();
        foreach (DemoHost host in Hosts)
        {
            host.Dispose();
        }

        Driver.Dispose();
        await Backend.DisposeAsync();
        SocketLeft = File.Exists(SocketIn(_directory));
        Directory.Delete(_directory, recursive: true);
    }

    private static string SocketIn(string directory) => Path.Combine(directory, "guest.sock");

    private static BackendSettings Settings(PrivateNetwork network, string directory)
    {
        Config config = ConfigurationLoader.Load([], [
            $"ringmaster.devices.{Device}.socket={SocketIn(directory)}",
            $"ringmaster.devices.{Device}.mac={GuestMac}",
            $"ringmaster.devices.{Device}.queue-pairs={Pairs}",
            $"ringmaster.devices.{Device}.tap.name=rm-demo",
            $"ringmaster.devices.{Device}.tap.address=[\"{HostAddress}/24\"]",
            $"ringmaster.devices.{Device}.tap.netns={network.Path}",
        ]);
        BackendSettings settings = BackendSettings.Load(config);
        return settings with { Devices = [settings.Devices.Single(device => device.Name == Device)] };
    }
}
