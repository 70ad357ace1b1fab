using System.Diagnostics;
using Ringmaster.EndToEnd.Tests.Support;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>
/// The executable, started once for all hostile inputs, with a device of two queue pairs that they go to and a neighbour. After
/// each of them the same process must serve a good guest, and hold again exactly what it held at the beginning; the
/// neighbour's guest, which was connected all the time, must not have noticed.
/// </summary>
public sealed class HostileBackend : BackendFixture
{
    /// <summary>How long anything may take before it counts as stuck.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private const int WarmUps = 5;
    private const int Looks = 10;
    private const int CalmSamples = 40;
    private const int LinesInFailure = 15;
    private static readonly TimeSpan Watched = TimeSpan.FromMilliseconds(400);
    private static int _frames;

    private PacketSocket? _host;
    private Neighbour? _neighbour;
    private Holdings? _calm;
    private Task? _start;

    /// <summary>The host's side of the device's TAP.</summary>
    internal PacketSocket Host => _host ?? throw new InvalidOperationException("the back-end has not been started");

    /// <summary>How many descriptors the process has open at this moment.</summary>
    internal int Descriptors => Holdings.DescriptorsOf(Backend.Process.Id);

    /// <summary>CPU time that the process has used so far.</summary>
    private TimeSpan CpuTime
    {
        get
        {
            using Process process = Process.GetProcessById(Backend.Process.Id);
            return process.TotalProcessorTime;
        }
    }

    /// <inheritdoc/>
    public override Task DisposeAsync()
    {
        _neighbour?.Dispose();
        _host?.Dispose();
        return base.DisposeAsync();
    }

    /// <summary>A number that no frame of this test run has had, so that no frame is taken for another.</summary>
    internal static int NextFrame() => Interlocked.Increment(ref _frames);

    /// <summary>Passes over what came to the host so far, so that its socket has room for what comes next.</summary>
    internal void ForgetFrames()
    {
        while (Host.Receive(TimeSpan.Zero) is not null)
        {
            // Nobody waits for these.
        }
    }

    /// <summary>With nothing to do the process sleeps, once the compiler has done what is left to do for it.</summary>
    internal void ExpectIdle()
    {
        TimeSpan used = Watched;
        for (int i = 0; i < Looks && used >= Watched / 2; i++)
        {
            TimeSpan before = CpuTime;
            using ManualResetEvent never = new(false);
            never.WaitOne(Watched);
            used = CpuTime - before;
        }

        Assert.True(
            used < Watched / 2,
            $"{used.TotalMilliseconds} ms of CPU time were used in {Watched.TotalMilliseconds} ms of nothing to do");
    }

    /// <summary>Lets somebody misbehave; then the process must be the same as ever.</summary>
    internal async Task SurvivesAsync(Action misbehave)
    {
        await (_start ??= StartAsync());
        int mark = Backend.Process.Mark;
        try
        {
            misbehave();
            await IsTheSameAsEverAsync();
        }
        catch (Exception failure) when (failure is not SkipException)
        {
            IEnumerable<string> lines = Backend.Process.LinesFrom(mark).TakeLast(LinesInFailure);
            throw new InvalidOperationException(
                $"{failure.Message}\nThe back-end's last lines:\n{string.Join('\n', lines)}", failure);
        }
    }

    private async Task StartAsync()
    {
        Backends.SkipForDpdk("some of these inputs end DPDK's process");
        await StartAsync(new BackendOptions { QueuePairs = 2, AccessPlatform = true, Neighbour = true });
        _host = OpenHost();
        _neighbour = new Neighbour(this);
        for (int i = 0; i < WarmUps; i++)
        {
            GoodGuest.ExchangeFrames(this);
            _neighbour.ExchangeFrames();
        }

        _calm = await CalmAsync();
    }

    /// <summary>The process lives (a process that ended would not answer), serves a good guest and holds what it held.</summary>
    private async Task IsTheSameAsEverAsync()
    {
        Assert.False(Backend.Process.HasExited, "the back-end has ended");
        GoodGuest.ExchangeFrames(this);
        _neighbour!.ExchangeFrames();
        Holdings before = _calm!;
        Holdings now = await Eventually.GetAsync(
            () => Holdings.Of(Backend.Process.Id), holdings => holdings.ChangedSince(before).Length == 0, Patience);

        // What one test leaves behind is no fault of the next one.
        _calm = now;
        Assert.Equal("", now.ChangedSince(before));
    }

    /// <summary>What the process holds once it has stopped changing.</summary>
    private async Task<Holdings> CalmAsync()
    {
        Holdings last = Holdings.Of(Backend.Process.Id);
        int unchanged = 0;
        return await Eventually.GetAsync(
            () => Holdings.Of(Backend.Process.Id),
            now =>
            {
                unchanged = now.ChangedSince(last).Length == 0 ? unchanged + 1 : 0;
                last = now;
                return unchanged >= CalmSamples;
            },
            Patience);
    }
}
