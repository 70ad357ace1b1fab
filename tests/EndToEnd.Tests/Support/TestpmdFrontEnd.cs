using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>How DPDK's virtio-user drives the device.</summary>
internal sealed record TestpmdOptions(int Queues, bool Mergeable, int QueueSize)
{
    internal int PacketSize { get; init; } = 64;

    internal bool Packed { get; init; }

    internal bool InOrder { get; init; }

    /// <summary>It listens for the back-end, and its start waits for it.</summary>
    internal bool Listens { get; init; }
}

/// <summary>What testpmd counted at its port since the start of the process.</summary>
internal sealed record TestpmdCounters(
    long Received, long Sent, IReadOnlyList<long> ReceivedByQueue, IReadOnlyList<long> SentByQueue);

/// <summary>
/// A front-end and driver that no one here wrote: testpmd with net_virtio_user, on its interactive prompt.
/// </summary>
/// <remarks>It needs two lcores, of which one polls; both share the last CPU, so that the back-end has the first.</remarks>
internal sealed class TestpmdFrontEnd : IAsyncDisposable
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(20);
    private static int _started;

    private readonly ManagedProcess _process;
    private readonly TestpmdOptions _options;

    private TestpmdFrontEnd(ManagedProcess process, TestpmdOptions options)
    {
        _process = process;
        _options = options;
    }

    internal ManagedProcess Process => _process;

    /// <summary>Starts testpmd; returns when the port is configured and started.</summary>
    internal static async Task<TestpmdFrontEnd> StartAsync(IBackend backend, TestpmdOptions options)
    {
        Require.Program("dpdk-testpmd", "dpdk-dev");
        int cpu = Environment.ProcessorCount - 1;
        string device = string.Create(
            CultureInfo.InvariantCulture,
            $"net_virtio_user0,path={backend.Socket},mac=02:00:00:00:00:01,queues={options.Queues},queue_size={options.QueueSize}"
            + $",packed_vq={Flag(options.Packed)},mrg_rxbuf={Flag(options.Mergeable)},in_order={Flag(options.InOrder)}"
            + $"{(options.Listens ? ",server=1" : "")}");
        ManagedProcess process = backend.Namespace.Start(
            "testpmd", "stdbuf", "-oL", "dpdk-testpmd", $"--lcores=0@{cpu},1@{cpu}", "--main-lcore=0", "--no-huge", "-m", "256",
            "--no-pci", "--no-telemetry", $"--file-prefix=rmfe{Environment.ProcessId}-{Interlocked.Increment(ref _started)}",
            "--vdev", device,
            "--", "-i", "--no-lsc-interrupt", $"--rxq={options.Queues}", $"--txq={options.Queues}", $"--rxd={options.QueueSize}",
            $"--txd={options.QueueSize}", "--total-num-mbufs=16384");
        TestpmdFrontEnd frontEnd = new(process, options);
        try
        {
            await process.LineAsync("^Checking link statuses", Timeout);
            await frontEnd.SetPacketSizeAsync(options.PacketSize);
            return frontEnd;
        }
        catch
        {
            await frontEnd.DisposeAsync();
            throw;
        }
    }

    /// <summary>Sets the size of what txonly sends. Not while it forwards.</summary>
    internal Task SetPacketSizeAsync(int bytes) => CommandAsync($"set txpkts {bytes}");

    /// <summary>Begins to forward: txonly, rxonly or io.</summary>
    internal async Task StartForwardingAsync(string mode)
    {
        await CommandAsync($"set fwd {mode}");
        await CommandAsync("start");
    }

    /// <summary>Ends forwarding. What was put into the rings is not waited for.</summary>
    internal Task StopForwardingAsync() => CommandAsync("stop");

    internal async Task<TestpmdCounters> CountersAsync()
    {
        string text = string.Join('\n', await CommandAsync("show port stats all")) + '\n'
            + string.Join('\n', await CommandAsync("show port xstats all"));
        return new TestpmdCounters(
            Number(text, @"RX-packets:\s+(\d+)"), Number(text, @"TX-packets:\s+(\d+)"),
            [.. Enumerable.Range(0, _options.Queues).Select(queue => Number(text, $@"rx_q{queue}_good_packets:\s+(\d+)"))],
            [.. Enumerable.Range(0, _options.Queues).Select(queue => Number(text, $@"tx_q{queue}_good_packets:\s+(\d+)"))]);
    }

    /// <summary>Asks until the counters are as wanted; the last answer is returned, wanted or not.</summary>
    internal async Task<TestpmdCounters> CountersWhenAsync(Func<TestpmdCounters, bool> wanted, TimeSpan timeout)
    {
        Stopwatch watch = Stopwatch.StartNew();
        TestpmdCounters counters = await CountersAsync();
        while (!wanted(counters) && watch.Elapsed < timeout)
        {
            counters = await CountersAsync();
        }

        return counters;
    }

    /// <summary>The clean end: the port is stopped and closed, the process ends with 0.</summary>
    internal async Task QuitAsync()
    {
        _process.Write("quit");
        int exitCode = await _process.ExitAsync(Timeout);
        if (exitCode != 0)
        {
            throw new InvalidOperationException($"testpmd ended with {exitCode}:\n{_process.Output}");
        }
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();

    /// <summary>
    /// Gives one command and returns its output. The prompt has no line end of its own, so the answer to a second command,
    /// one that testpmd does not know, marks the end of the first.
    /// </summary>
    private async Task<IReadOnlyList<string>> CommandAsync(string command)
    {
        int mark = _process.Mark;
        _process.Write(command);
        _process.Write("end-of-output");
        await _process.LineAsync("^Command not found", Timeout, mark);
        return _process.LinesFrom(mark);
    }

    private static int Flag(bool on) => on ? 1 : 0;

    private static long Number(string text, string pattern)
    {
        Match match = Regex.Match(text, pattern);
        return match.Success
            ? long.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture)
            : throw new FormatException($"testpmd printed nothing that matches /{pattern}/:\n{text}");
    }
}
