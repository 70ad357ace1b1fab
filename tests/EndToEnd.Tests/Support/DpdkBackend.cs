using System.Globalization;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>DPDK's own back-end: testpmd that forwards between net_vhost and net_tap.</summary>
internal sealed class DpdkBackend : IBackend
{
    /// <summary>It would wait nine seconds for a link, which is there only when a front-end has come.</summary>
    internal const string WaitForNoLink = "--disable-link-check";

    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(20);
    private static int _started;

    private readonly TemporaryFolder _folder;

    private DpdkBackend(TestNamespace network, TemporaryFolder folder, ManagedProcess process)
    {
        Namespace = network;
        _folder = folder;
        Process = process;
    }

    public string Socket => _folder["vhost"];

    public string Tap => "dtap0";

    public TestNamespace Namespace { get; }

    public ManagedProcess Process { get; }

    internal static async Task<DpdkBackend> StartAsync(TestNamespace network, BackendOptions options)
    {
        Require.Program("dpdk-testpmd", "dpdk-dev");
        TemporaryFolder folder = new();
        string queues = options.QueuePairs.ToString(CultureInfo.InvariantCulture);
        ManagedProcess process = network.Start(
            "DPDK back-end", "stdbuf", "-oL", "dpdk-testpmd", "--lcores=0@0,1@0", "--main-lcore=0", "--no-huge", "-m", "256",
            "--no-pci", "--no-telemetry", $"--file-prefix=rmbe{Environment.ProcessId}-{Interlocked.Increment(ref _started)}",
            "--vdev", $"net_vhost0,iface={folder["vhost"]},queues={queues}", "--vdev", "net_tap0,iface=dtap0",
            "--", "-i", "--no-lsc-interrupt", WaitForNoLink, $"--rxq={queues}", $"--txq={queues}", "--nb-cores=1",
            "--total-num-mbufs=16384");
        DpdkBackend backend = new(network, folder, process);
        try
        {
            await process.LineAsync("^Done$", Timeout);
            process.Write("start");
            await process.LineAsync("io packet forwarding packets/burst", Timeout);
            await network.ConfigureAsync("link", "set", "dtap0", "up", "mtu", $"{options.Mtu ?? 1500}");
            if (options.HostMac is not null)
            {
                await network.ConfigureAsync("link", "set", "dtap0", "address", options.HostMac);
            }

            foreach (string address in options.Addresses)
            {
                await network.ConfigureAsync("address", "add", address, "dev", "dtap0");
            }

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
}
