using System.Text.Json;
using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests;

/// <summary><c>ringmaster drive</c> against DPDK's net_vhost, which nobody here wrote, and against Ringmaster.</summary>
public sealed class DriveSpec
{
    private const string HostAddress = "10.78.0.1";
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    public static TheoryData<string[]> Rings => new()
    {
        { [] },
        { ["--packed"] },
        { ["--in-order", "--queue-size", "1024"] },
        { ["--packed", "--in-order", "--poll"] },
    };

    [SkippableTheory]
    [MemberData(nameof(Rings))]
    public async Task Echoes_come_back_from_DPDK_over_each_kind_of_ring(string[] options)
    {
        await using TestpmdMirror mirror = await TestpmdMirror.StartAsync("macswap", pairs: 1);
        using JsonDocument result = await DriveAsync(mirror.Socket, ["--mode", "echo", "--frame-size", "1514", .. options]);
        JsonElement root = result.RootElement;
        Assert.True(root.GetProperty("received").GetInt64() > 100, root.ToString());
        Assert.Equal(0, root.GetProperty("lost").GetInt64());
        Assert.True(root.GetProperty("roundTripMicroseconds").GetProperty("p50").GetDouble() > 0);
        string[] features = [.. root.GetProperty("features").EnumerateArray().Select(feature => feature.GetString()!)];
        Assert.Equal(options.Contains("--packed"), features.Contains("RingPacked"));
        Assert.Equal(options.Contains("--in-order"), features.Contains("InOrder"));
    }

    [SkippableFact]
    public async Task Two_pairs_echo_through_DPDK()
    {
        await using TestpmdMirror mirror = await TestpmdMirror.StartAsync("macswap", pairs: 2);
        using JsonDocument result = await DriveAsync(mirror.Socket, ["--mode", "echo", "--pairs", "2"]);
        Assert.True(result.RootElement.GetProperty("received").GetInt64() > 100, result.RootElement.ToString());
        Assert.Equal(0, result.RootElement.GetProperty("lost").GetInt64());
    }

    [SkippableFact]
    public async Task What_DPDK_sends_is_counted()
    {
        await using TestpmdMirror source = await TestpmdMirror.StartAsync("txonly", pairs: 1);
        using JsonDocument result = await DriveAsync(source.Socket, ["--mode", "rx"]);
        Assert.True(result.RootElement.GetProperty("received").GetInt64() > 100, result.RootElement.ToString());
        Assert.True(result.RootElement.GetProperty("bitsPerSecond").GetDouble() > 0);
    }

    [SkippableFact]
    public async Task What_is_sent_to_DPDK_is_counted()
    {
        await using TestpmdMirror sink = await TestpmdMirror.StartAsync("rxonly", pairs: 1);
        using JsonDocument result = await DriveAsync(sink.Socket, ["--mode", "tx", "--frame-size", "60"]);
        Assert.True(result.RootElement.GetProperty("sent").GetInt64() > 100, result.RootElement.ToString());
    }

    [SkippableTheory]
    [InlineData(60)]
    [InlineData(1514)]
    public async Task The_host_behind_a_back_end_answers_pings(int frameSize)
    {
        await using TestNamespace network = await TestNamespace.CreateAsync();
        var options = new BackendOptions { Addresses = [HostAddress + "/24"] };
        await using IBackend backend = await Backends.StartAsync(network, options);
        using JsonDocument result = await DriveAsync(
            backend.Socket,
            ["--mode", "echo", "--pairs", "2", "--to", HostAddress, "--from", "10.78.0.2", "--frame-size", $"{frameSize}"]);
        Assert.True(result.RootElement.GetProperty("received").GetInt64() > 100, result.RootElement.ToString());
        Assert.Equal(0, result.RootElement.GetProperty("lost").GetInt64());
    }

    [SkippableFact]
    public async Task What_is_sent_to_a_back_end_arrives_at_its_TAP()
    {
        await using TestNamespace network = await TestNamespace.CreateAsync();
        await using IBackend backend = await Backends.StartAsync(network, new BackendOptions());
        using JsonDocument result = await DriveAsync(backend.Socket, ["--mode", "tx", "--frame-size", "128"]);
        long sent = result.RootElement.GetProperty("sent").GetInt64();
        InterfaceCounters counters = network.CountersOf(backend.Tap)!;
        Assert.True(sent > 1000, result.RootElement.ToString());

        // Chains that were out when the driver left may have been sent without having come back.
        Assert.InRange(counters.ReceivedFrames, sent, sent + 256);
    }

    [SkippableTheory]
    [InlineData("tx", 60_000, true)]
    [InlineData("rx", 60_000, true)]
    [InlineData("rx", 60, false)]
    public async Task Unsegmented_and_injected_frames_go_through(string mode, int frameSize, bool gso)
    {
        await using TestNamespace network = await TestNamespace.CreateAsync();
        await using IBackend backend = await Backends.StartAsync(network, new BackendOptions());
        string[] inject = mode == "rx" ? ["--inject", backend.Tap] : [];
        string[] unsegmented = gso ? ["--gso"] : [];
        string output = await network.RunAsync(
            Timeout,
            RingmasterProcess.Executable,
            [
                "drive", "--socket", backend.Socket, "--seconds", "1", "--warm-up", "0.5", "--json", "--mode", mode,
                "--frame-size", $"{frameSize}", .. inject, .. unsegmented,
            ]);
        using JsonDocument result = JsonDocument.Parse(output);
        JsonElement root = result.RootElement;
        Assert.True(root.GetProperty(mode == "rx" ? "received" : "sent").GetInt64() > 100, root.ToString());
        double bits = root.GetProperty("framesPerSecond").GetDouble() * frameSize * 8;
        Assert.InRange(root.GetProperty("bitsPerSecond").GetDouble(), bits * 0.99, bits * 1.01);
    }

    [Fact]
    public async Task A_socket_where_nobody_listens_is_named()
    {
        await using ManagedProcess drive = ManagedProcess.Start(
            "drive", RingmasterProcess.Executable, "drive", "--socket", "/nonexistent/x.sock");
        Assert.Equal(1, await drive.ExitAsync(Timeout));
        Assert.Contains("/nonexistent/x.sock", drive.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--queue-size", "100")]
    [InlineData("--pairs", "0")]
    [InlineData("--frame-size", "59")]
    [InlineData("--frame-size", "65550")]
    [InlineData("--warm-up", "-1")]
    [InlineData("--inject", "eth0")]
    [InlineData("--seconds", "0")]
    [InlineData("--mode", "both")]
    [InlineData("--to", "10.0.0.1")]
    public async Task An_option_that_makes_no_sense_is_refused_by_name(string option, string value)
    {
        await using ManagedProcess drive = ManagedProcess.Start(
            "drive", RingmasterProcess.Executable, "drive", "--socket", "/nonexistent/x.sock", option, value);
        Assert.Equal(2, await drive.ExitAsync(Timeout));
        Assert.Contains(option, drive.Output, StringComparison.Ordinal);
    }

    private static async Task<JsonDocument> DriveAsync(string socket, IEnumerable<string> arguments) => JsonDocument.Parse(
        await ManagedProcess.RunAsync(
            Timeout, RingmasterProcess.Executable, ["drive", "--socket", socket, "--seconds", "1", "--json", .. arguments]));

    /// <summary>testpmd with nothing but a net_vhost port, which forwards what comes to where it came from.</summary>
    private sealed class TestpmdMirror : IAsyncDisposable
    {
        private static int _started;
        private readonly TemporaryFolder _folder = new();
        private readonly ManagedProcess _process;

        private TestpmdMirror(string forward, int pairs) => _process = ManagedProcess.Start(
            "testpmd", "stdbuf", "-oL", "dpdk-testpmd", "--lcores=0@0,1@1", "--main-lcore=0", "--no-huge", "-m", "256",
            "--no-pci", "--no-telemetry", $"--file-prefix=rmdrive{Environment.ProcessId}-{Interlocked.Increment(ref _started)}",
            "--vdev", $"net_vhost0,iface={Socket},queues={pairs}",
            "--", "-i", "--no-lsc-interrupt", DpdkBackend.WaitForNoLink, $"--rxq={pairs}", $"--txq={pairs}", "--nb-cores=1",
            "--total-num-mbufs=16384", $"--forward-mode={forward}");

        internal string Socket => _folder["vhost"];

        internal static async Task<TestpmdMirror> StartAsync(string forward, int pairs)
        {
            Require.Program("dpdk-testpmd", "dpdk-dev");
            var mirror = new TestpmdMirror(forward, pairs);
            try
            {
                await mirror._process.LineAsync("^Done$", Timeout);
                mirror._process.Write("start");
                await mirror._process.LineAsync("packet forwarding.*packets/burst", Timeout);
                return mirror;
            }
            catch
            {
                await mirror.DisposeAsync();
                throw;
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _process.DisposeAsync();
            _folder.Dispose();
        }
    }
}
