using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Ringmaster.Bench.Compare.Contenders;

namespace Ringmaster.Bench.Compare.Measuring;

/// <summary><c>ringmaster drive</c> as the guest. When it times round trips it polls in any case.</summary>
/// <param name="backend">The back-end.</param>
/// <param name="durations">How long.</param>
internal sealed class DriveGuest(IBackend backend, Durations durations) : IGuest
{
    internal const string DriverName = "ringmaster";
    private const int EchoSize = 64;

    /// <summary>To which <c>ringmaster drive</c> sends.</summary>
    private const int DiscardPort = 9;

    /// <summary>From the first frame to the first look, on top of the warm-up, and from the last look to the end.</summary>
    private static readonly TimeSpan Margin = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>A driver like DPDK's, for else it would be the limit where frames are merged.</summary>
    private static readonly string[] OneFlow = ["--flows", "1", "--poll", "--queue-size", "1024"];

    /// <summary>True: on the last CPU; false: on any.</summary>
    internal bool Pinned { get; init; } = true;

    /// <summary>True: looks for work all the time; false: sleeps until it is called.</summary>
    internal bool Polls { get; init; }

    public Task<Sample> MeasureAsync(Workload workload, Sample empty, CancellationToken cancellation) =>
        MeasureAsync(workload, empty, pairs: 1, cancellation);

    internal async Task<Sample> MeasureAsync(Workload workload, Sample empty, int pairs, CancellationToken cancellation)
    {
        bool sends = workload.Direction == Direction.GuestToTap;
        string[] direction = sends ? ["--mode", "tx"] : ["--mode", "rx", "--inject", backend.Tap];
        string[] flows = workload.Flows == Flows.Several ? [] : OneFlow;
        string[] target = workload.Flows == Flows.OneToSocket
            ? ["--to", Contender.HostAddress, "--from", Contender.GuestAddress]
            : [];
        string[] gso = workload.Gso ? ["--gso"] : [];
        string[] poll = Polls ? ["--poll"] : [];
        using Socket? socket = workload.Flows == Flows.OneToSocket ? OpenSocket() : null;
        await using ManagedProcess drive = Start(
            durations.Window + (2 * Margin),
            [
                "--frame-size", Text(workload.FrameSize), "--pairs", Text(pairs),
                .. direction, .. flows, .. target, .. gso, .. poll,
            ]);
        await Meter.MovingAsync(backend.Namespace, backend.Tap, workload.Direction, cancellation);
        await Task.Delay(durations.WarmUp + Margin, cancellation);
        Meter first = Read();
        await Task.Delay(durations.Window, cancellation);
        Sample sample = Meter.Between(first, Read(), empty, workload);
        using JsonDocument result = await ResultAsync(drive);
        return sends ? sample : Delivered(sample, result.RootElement);
    }

    /// <summary>Round trips of one frame at a time, through the TAP to the host's ICMP. The guest polls.</summary>
    internal async Task<Sample> EchoAsync(Sample empty)
    {
        await using ManagedProcess drive = Start(
            durations.Window,
            [
                "--mode", "echo", "--window", "1", "--poll", "--frame-size", Text(EchoSize),
                "--to", Contender.HostAddress, "--from", Contender.GuestAddress,
            ]);
        using JsonDocument result = await ResultAsync(drive);
        if (!result.RootElement.TryGetProperty("roundTripMicroseconds", out JsonElement times))
        {
            throw new InvalidOperationException($"No echo came back through {backend.Tap}:\n{drive.Output}");
        }

        return empty with
        {
            FramesPerSecond = result.RootElement.GetProperty("framesPerSecond").GetDouble(),
            P50 = times.GetProperty("p50").GetDouble(),
            P99 = times.GetProperty("p99").GetDouble(),
        };
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>What the guest received counts, not what was read from the TAP.</summary>
    private static Sample Delivered(Sample sample, JsonElement result)
    {
        double delivered = result.GetProperty("framesPerSecond").GetDouble();
        double share = Math.Min(1.0, delivered / sample.FramesPerSecond);
        return sample with
        {
            FramesPerSecond = delivered,
            NanosecondsPerFrame = sample.CpuShare * 1e9 / delivered,
            LossPercent = 100 - ((100 - sample.LossPercent) * share),
        };
    }

    /// <summary>What the guest sends to arrives here, and stays.</summary>
    private Socket OpenSocket() => backend.Namespace.Inside(() =>
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Parse(Contender.HostAddress), DiscardPort));
        return socket;
    });

    private ManagedProcess Start(TimeSpan duration, IEnumerable<string> arguments)
    {
        string cpus = Pinned ? Text(Cpus.Driver) : $"{Cpus.Backend},{Cpus.Driver}";
        return backend.Namespace.Start(
            "drive",
            "taskset",
            [
                "-c", cpus, RingmasterProcess.Executable, "drive", "--socket", backend.Socket, "--json",
                "--seconds", Text(duration.TotalSeconds), "--warm-up", Text(durations.WarmUp.TotalSeconds), .. arguments,
            ]);
    }

    private static async Task<JsonDocument> ResultAsync(ManagedProcess drive)
    {
        int exitCode = await drive.ExitAsync(Patience);
        return exitCode == 0
            ? JsonDocument.Parse(drive.Output)
            : throw new InvalidOperationException($"ringmaster drive ended with {exitCode}:\n{drive.Output}");
    }

    private Meter Read() => Meter.Read(backend.Namespace, backend.Tap, backend.Process.Id);

    private static string Text(IFormattable value) => value.ToString(null, CultureInfo.InvariantCulture);
}
