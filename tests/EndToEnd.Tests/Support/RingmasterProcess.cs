namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>The built executable, started as an operator starts it, inside a network namespace.</summary>
internal sealed class RingmasterProcess : IBackend
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(20);

    private readonly TemporaryFolder _folder;
    private readonly string[] _command;

    private RingmasterProcess(TestNamespace network, TemporaryFolder folder, string[] command)
    {
        Namespace = network;
        _folder = folder;
        _command = command;
        Process = Launch();
    }

    /// <summary>
    /// The executable: of <c>RINGMASTER_EXECUTABLE</c> (a published or installed one), else the one that the project
    /// reference has put beside the tests.
    /// </summary>
    internal static string Executable =>
        Environment.GetEnvironmentVariable("RINGMASTER_EXECUTABLE") ?? Path.Combine(AppContext.BaseDirectory, "ringmaster");

    public string Socket => _folder["vhost"];

    public string Tap => "rmtap0";

    public TestNamespace Namespace { get; }

    public ManagedProcess Process { get; private set; }

    internal static async Task<RingmasterProcess> StartAsync(TestNamespace network, BackendOptions options)
    {
        TemporaryFolder folder = new();
        string device = "ringmaster.devices.net0";
        List<string> keys =
        [
            $"{device}.socket={folder["vhost"]}", $"{device}.queue-pairs={options.QueuePairs}", $"{device}.queue-size=1024",
            $"{device}.tap.name=rmtap0", .. options.Keys.Select(key => $"{device}.{key}"),
        ];
        if (options.Addresses.Count > 0)
        {
            keys.Add($"{device}.tap.address=[{string.Join(", ", options.Addresses.Select(address => $"\"{address}\""))}]");
        }

        if (options.AccessPlatform)
        {
            keys.Add($"{device}.features.access-platform=on");
        }

        if (options.HostMac is not null)
        {
            keys.Add($"{device}.tap.host-mac=\"{options.HostMac}\"");
        }

        if (options.FrontEndListens)
        {
            keys.Add($"{device}.mode=client");
        }

        if (options.Mtu is not null)
        {
            keys.Add($"{device}.mtu={options.Mtu}");
        }

        if (options.Neighbour)
        {
            keys.AddRange(["ringmaster.devices.net1.tap.name=rmtap1", $"ringmaster.devices.net1.socket={folder["vhost1"]}"]);
        }

        keys.AddRange(options.Settings.Select(setting => $"{device}.{setting}"));
        string[] pin = options.Cpu is { } cpu ? ["taskset", "-c", $"{cpu}"] : [];
        RingmasterProcess backend = new(
            network, folder, [.. pin, Executable, "run", .. keys.SelectMany(key => new[] { "-D", key })]);
        try
        {
            await backend.ListeningAsync();
            return backend;
        }
        catch
        {
            await backend.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts it again with the same settings; returns when it listens, or tries to connect.</summary>
    internal async Task RestartAsync()
    {
        await Process.DisposeAsync();
        Process = Launch();
        await ListeningAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await Process.DisposeAsync();
        _folder.Dispose();
    }

    private ManagedProcess Launch() => Namespace.Start("ringmaster", _command[0], _command[1..]);

    private Task ListeningAsync() => Process.LineAsync("device net0: up", Timeout);
}
