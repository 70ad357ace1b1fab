using System.Globalization;
using Ringmaster.Bench.Compare.Bare;
using Ringmaster.Bench.Compare.Measuring;

namespace Ringmaster.Bench.Compare.Contenders;

/// <summary>A bare TAP loop that runs: the C# one of this program, or bare.c compiled.</summary>
internal sealed class BareProcess : IAsyncDisposable
{
    private const string Name = "bare0";
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private BareProcess(ManagedProcess process) => Process = process;

    internal string Tap => Name;

    internal ManagedProcess Process { get; }

    /// <summary>Starts one on the back-ends' CPU; returns when it works.</summary>
    /// <param name="network">Where.</param>
    /// <param name="ceiling">Which loop.</param>
    /// <param name="workload">What to move.</param>
    /// <param name="frames">The buffers that it shares with a guest; null = its own.</param>
    internal static async Task<BareProcess> StartAsync(
        TestNamespace network,
        Ceiling ceiling,
        Workload workload,
        SharedFrames? frames)
    {
        string direction = workload.Direction == Direction.GuestToTap ? "write" : "read";
        string size = workload.FrameSize.ToString(CultureInfo.InvariantCulture);
        string kind = workload.Gso ? "gso" : "plain";
        string[] shared = frames is null ? [] : [frames.Count.ToString(CultureInfo.InvariantCulture), frames.Path];
        BareProcess bare = new(network.Start(
            "bare loop",
            "taskset",
            ["-c", $"{Cpus.Backend}", .. ceiling.Program, Name, direction, ceiling.Engine, size, kind, .. shared]));
        try
        {
            await bare.Process.LineAsync("^open$", Timeout);
            await network.ConfigureAsync("link", "set", Name, "up");
            bare.Process.Write("");
            return bare;
        }
        catch
        {
            await bare.DisposeAsync();
            throw;
        }
    }

    public ValueTask DisposeAsync() => Process.DisposeAsync();
}
