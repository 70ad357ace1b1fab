using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>Traffic makes no garbage, on whatever thread of the process: under full load nothing is ever collected.</summary>
public sealed class CollectionSpec
{
    private const long Settled = 200_000;
    private const long Frames = 2_000_000;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(60);

    [SkippableTheory]
    [InlineData("tx")]
    [InlineData("rx")]
    public async Task Full_load_brings_no_garbage_collection(string mode)
    {
        Backends.SkipForDpdk("it is about a .NET process");
        await using TestNamespace network = await TestNamespace.CreateAsync();
        await using IBackend backend = await Backends.StartAsync(network, new BackendOptions { QueuePairs = 1 });
        string[] inject = mode == "rx" ? ["--inject", backend.Tap] : [];
        await using ManagedProcess drive = network.Start(
            "drive",
            RingmasterProcess.Executable,
            ["drive", "--socket", backend.Socket, "--seconds", "120", "--mode", mode, .. inject]);

        await MovedAsync(network, backend.Tap, Settled); // connecting leaves something behind
        using var watch = CollectionWatch.Start(backend.Process.Id);
        await MovedAsync(network, backend.Tap, Settled + Frames);
        Assert.Equal(0, watch.Count);

        // It would have been seen.
        watch.Induce();
        Assert.NotEqual(0, await Eventually.GetAsync(() => watch.Count, count => count > 0, Timeout));
    }

    private static async Task MovedAsync(TestNamespace network, string tap, long frames)
    {
        long Moved() => network.CountersOf(tap) is { } counters ? counters.ReceivedFrames + counters.SentFrames : 0;
        Assert.True(await Eventually.GetAsync(Moved, moved => moved >= frames, Timeout) >= frames);
    }
}
