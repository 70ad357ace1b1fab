using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>How DPDK's virtio-user drives the device.</summary>
internal sealed record TestpmdOptions(int Queues, bool Mergeable, int QueueSize)
{
    internal const int OrdinaryFrame = 1514;

    internal int PacketSize { get; init; } = 64;

    internal bool Packed { get; init; }

    internal bool InOrder { get; init; }

    /// <summary>The paths that work on several packets at a time, where the CPU and the other switches allow them.</summary>
    internal bool Vectorized { get; init; }

    /// <summary>
    /// The longest frame that is received: into one packet buffer of that size, or into several of 2 KiB where they are
    /// mergeable.
    /// </summary>
    internal int LongestFrame { get; init; } = OrdinaryFrame;

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
    private const string LogNegotiation = "--log-level=pmd.net.virtio.init:debug";

    /// <summary>Its packed rings are worked on in vectors of 512 bits or not at all.</summary>
    private const string WideVectors = "--force-max-simd-bitwidth=512";

    /// <summary>testpmd counts the frame's checksum, which no virtio frame has.</summary>
    private const int FrameChecksum = 4;

    /// <summary>What a packet buffer holds before the frame.</summary>
    private const int Headroom = 128;
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

    /// <summary>What it has negotiated.</summary>
    internal VirtioFeatures Features { get; private set; }

    /// <summary>Starts testpmd; returns when the port is configured and started.</summary>
    internal static async Task<TestpmdFrontEnd> StartAsync(IBackend backend, TestpmdOptions options)
    {
        Require.Program("dpdk-testpmd", "dpdk-dev");
        ManagedProcess process = backend.Namespace.Start(
            "testpmd", "stdbuf",
            [
                "-oL", "dpdk-testpmd", .. EalArguments(options), "--vdev", Device(backend, options),
                "--", "-i", "--no-lsc-interrupt", .. PortArguments(options),
            ]);
        TestpmdFrontEnd frontEnd = new(process, options);
        try
        {
            Match negotiated = await process.LineAsync("features after negotiate = ([0-9a-f]+)", Timeout);
            frontEnd.Features = (VirtioFeatures)ulong.Parse(
                negotiated.Groups[1].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
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

    private static string Device(IBackend backend, TestpmdOptions options) => string.Create(
        CultureInfo.InvariantCulture,
        $"net_virtio_user0,path={backend.Socket},mac=02:00:00:00:00:01,queues={options.Queues},queue_size={options.QueueSize}"
        + $",packed_vq={Flag(options.Packed)},mrg_rxbuf={Flag(options.Mergeable)},in_order={Flag(options.InOrder)}"
        + $",vectorized={Flag(options.Vectorized)}{(options.Listens ? ",server=1" : "")}");

    private static IEnumerable<string> EalArguments(TestpmdOptions options)
    {
        int cpu = Environment.ProcessorCount - 1;
        int number = Interlocked.Increment(ref _started);
        return
        [
            $"--lcores=0@{cpu},1@{cpu}", "--main-lcore=0", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
            $"--file-prefix=rmfe{Environment.ProcessId}-{number}", LogNegotiation,
            .. options.Vectorized ? new[] { WideVectors } : [],
        ];
    }

    private static IEnumerable<string> PortArguments(TestpmdOptions options)
    {
        (int queues, int size, int longest) = (options.Queues, options.QueueSize, options.LongestFrame);
        string room = options.Mergeable ? "--enable-scatter" : $"--mbuf-size={Headroom + longest + FrameChecksum}";
        return
        [
            $"--rxq={queues}", $"--txq={queues}", $"--rxd={size}", $"--txd={size}", "--total-num-mbufs=16384",
            .. longest > TestpmdOptions.OrdinaryFrame ? new[] { $"--max-pkt-len={longest + FrameChecksum}", room } : [],
        ];
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
