namespace Ringmaster.Bench.Compare.Contenders;

/// <summary>A back-end under comparison.</summary>
/// <param name="Name">As it stands in tables.</param>
/// <param name="StartAsync">Starts it in a namespace of its own, on <see cref="Cpus.Backend"/>.</param>
internal sealed record Contender(string Name, Func<TestNamespace, Task<IBackend>> StartAsync)
{
    internal const string IoUring = "io-uring";
    internal const string Syscall = "syscall";
    internal const string DpdkName = "DPDK net_vhost + net_tap";

    /// <summary>The host's address on every TAP, and one for the guest.</summary>
    internal const string HostAddress = "10.78.0.1";
    internal const string GuestAddress = "10.78.0.2";

    /// <summary>False: what it does with unsegmented frames does not reach the TAP, or comes from there.</summary>
    internal bool Gso { get; init; } = true;

    /// <summary>Ringmaster with one of its I/O engines.</summary>
    internal static Contender Ringmaster(string engine) => new(NameOf(engine), network => StartRingmasterAsync(network, engine));

    /// <summary>Ringmaster with one of its I/O engines, looking for work for 100 us before it sleeps.</summary>
    internal static Contender RingmasterPolling(string engine) => new(
        NameOf(engine) + ", busy-poll",
        network => StartRingmasterAsync(network, engine, "worker.busy-poll=100us"));

    /// <summary>Ringmaster with one of its I/O engines, merging frames of one flow.</summary>
    internal static Contender RingmasterMerging(string engine) => new(
        MergingNameOf(engine),
        network => StartRingmasterAsync(network, engine, "worker.merge=on"));

    /// <summary>Ringmaster with two pairs on the first and the last CPU; all its other threads on either.</summary>
    internal static Contender RingmasterPairs { get; } = new(NameOf(IoUring), async network => await RingmasterProcess.StartAsync(
        network,
        new BackendOptions
        {
            QueuePairs = 2,
            Settings = [$"worker.cpus=[{Cpus.Backend},{Cpus.Driver}]", $"worker.io={IoUring}"],
        }));

    /// <summary>DPDK's testpmd between net_vhost and net_tap. It polls.</summary>
    internal static Contender Dpdk { get; } = new(
        DpdkName, async network => await DpdkBackend.StartAsync(network, Options))
    {
        Gso = false,
    };

    private static BackendOptions Options => new() { QueuePairs = 1, Addresses = [HostAddress + "/24"], Cpu = Cpus.Backend };

    internal static string NameOf(string engine) => $"Ringmaster {engine}";

    internal static string MergingNameOf(string engine) => NameOf(engine) + ", merge";

    /// <summary>Any other back-end.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="command">How it is started: words with {socket} and {tap} in them.</param>
    internal static Contender Other(string name, string command) =>
        new(name, async network => await CommandBackend.StartAsync(network, command, HostAddress + "/24"));

    private static async Task<IBackend> StartRingmasterAsync(TestNamespace network, string engine, params string[] settings) =>
        await RingmasterProcess.StartAsync(
            network, Options with { Settings = [$"worker.cpus=[{Cpus.Backend}]", $"worker.io={engine}", .. settings] });
}
