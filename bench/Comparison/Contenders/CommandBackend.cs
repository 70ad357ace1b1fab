using System.Diagnostics;

namespace Ringmaster.Bench.Compare.Contenders;

/// <summary>A back-end that is known by its command line alone. It makes its socket and its TAP.</summary>
internal sealed class CommandBackend : IBackend
{
    private const string TapName = "peer0";
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(20);

    private readonly TemporaryFolder _folder;

    private CommandBackend(TestNamespace network, TemporaryFolder folder, ManagedProcess process)
    {
        Namespace = network;
        _folder = folder;
        Process = process;
    }

    public string Socket => _folder["vhost"];

    public string Tap => TapName;

    public TestNamespace Namespace { get; }

    public ManagedProcess Process { get; }

    internal static async Task<CommandBackend> StartAsync(TestNamespace network, string command, string address)
    {
        TemporaryFolder folder = new();
        string[] words = command
            .Replace("{socket}", folder["vhost"], StringComparison.Ordinal)
            .Replace("{tap}", TapName, StringComparison.Ordinal)
            .Split(' ', StringSplitOptions.RemoveEmptyEntries);
        CommandBackend backend = new(network, folder, network.Start(words[0], "taskset", ["-c", $"{Cpus.Backend}", .. words]));
        try
        {
            await backend.ReadyAsync();
            await network.ConfigureAsync("link", "set", TapName, "up");
            await network.ConfigureAsync("address", "replace", address, "dev", TapName);
            return backend;
        }
        catch
        {
            await backend.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Process.DisposeAsync();
        _folder.Dispose();
    }

    /// <summary>Nobody says when: the socket's file and the interface have to be looked for.</summary>
    private async Task ReadyAsync()
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (!File.Exists(Socket) || Namespace.CountersOf(TapName) is null)
        {
            if (Process.HasExited || watch.Elapsed > Timeout)
            {
                throw new TimeoutException($"No socket or no interface {TapName} was made. Output:\n{Process.Output}");
            }

            await Task.Delay(Interval);
        }
    }
}
