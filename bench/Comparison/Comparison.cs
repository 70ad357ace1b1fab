using System.ComponentModel;
using System.Globalization;
using Ringmaster.Bench.Compare.Contenders;
using Ringmaster.Bench.Compare.Measuring;
using Ringmaster.Native.Linux;

namespace Ringmaster.Bench.Compare;

/// <summary>
/// The comparison, round by round. In each round every contender is started anew and does every workload, with each driver;
/// the bare loops do them next to that. The order turns from round to round. What fails is noted, and the rest goes on.
/// </summary>
internal sealed class Comparison(ComparisonOptions options, CancellationToken cancellation)
{
    internal const string EchoWork = "echo/64";
    internal const string PairsWork = "pairs/";

    private readonly List<Sample> _samples = [];
    private readonly SortedSet<string> _notes = [];

    /// <summary>Whatever was measured when <see cref="RunAsync"/> returned or threw.</summary>
    internal IReadOnlyList<Sample> Samples => _samples;

    /// <summary>What could not be measured, and why.</summary>
    internal IReadOnlyCollection<string> Notes => _notes;

    /// <summary>Runs rounds with numbers from <paramref name="first"/> on.</summary>
    internal async Task RunAsync(int first)
    {
        IReadOnlyList<string> engines = Engines.Available(out string? refusal);
        if (refusal is not null)
        {
            _notes.Add($"io-uring: {refusal}");
        }

        IReadOnlyList<Contender> contenders = [.. engines.Select(Contender.Ringmaster), Contender.Dpdk, .. options.Others];
        IReadOnlyList<Ceiling> ceilings = [.. engines.SelectMany(CeilingsOf)];
        for (int round = first; round < first + options.Rounds; round++)
        {
            await DriveByDpdkAsync(round, Turned(ceilings, round), Turned(contenders, round));
            await DriveByOursAsync(round, Turned(ceilings, round), Turned(contenders, round));
            await MergeAsync(round, engines[0]);
            foreach (string engine in engines)
            {
                Contender polling = Contender.RingmasterPolling(engine);
                await TryAsync(polling.Name, () => EchoAsync(round, polling));
            }

            await TryAsync(Contender.RingmasterPairs.Name, () => PairsAsync(round, Contender.RingmasterPairs));
        }
    }

    private async Task DriveByDpdkAsync(int round, IEnumerable<Ceiling> ceilings, IEnumerable<Contender> contenders)
    {
        Workload[] works = [.. Workload.All.Where(work => !work.Gso)];
        await MeasureCeilingsAsync(round, TestpmdGuest.DriverName, ceilings, works);
        foreach (Contender contender in contenders)
        {
            await TryAsync(contender.Name, async () =>
            {
                await using TestNamespace network = await TestNamespace.CreateAsync();
                await using IBackend backend = await contender.StartAsync(network);
                await using IGuest guest = await TestpmdGuest.ConnectAsync(backend, options.Durations);
                await MeasureAsync(new Sample(round, TestpmdGuest.DriverName, "", contender.Name), guest, works);
            });
        }
    }

    private async Task DriveByOursAsync(int round, IEnumerable<Ceiling> ceilings, IEnumerable<Contender> contenders)
    {
        await MeasureCeilingsAsync(round, DriveGuest.DriverName, ceilings, Workload.All);
        foreach (Contender contender in contenders)
        {
            await TryAsync(contender.Name, async () =>
            {
                await using TestNamespace network = await TestNamespace.CreateAsync();
                await using IBackend backend = await contender.StartAsync(network);
                await using var guest = new DriveGuest(backend, options.Durations);
                Workload[] works = [.. Workload.All.Where(work => contender.Gso || !work.Gso)];
                await MeasureAsync(new Sample(round, DriveGuest.DriverName, "", contender.Name), guest, works);
                Add(await guest.EchoAsync(new Sample(round, DriveGuest.DriverName, EchoWork, contender.Name)));
            });
        }
    }

    private async Task MeasureAsync(Sample empty, IGuest guest, IReadOnlyList<Workload> works)
    {
        // The first seconds of a process are not like the rest: code is compiled.
        _ = await guest.MeasureAsync(works[0], empty, cancellation);
        foreach (Workload work in works)
        {
            Add(await guest.MeasureAsync(work, empty with { Work = work.Id }, cancellation));
        }
    }

    private async Task MeasureCeilingsAsync(
        int round,
        string driver,
        IEnumerable<Ceiling> ceilings,
        IReadOnlyList<Workload> works)
    {
        foreach (Ceiling ceiling in ceilings)
        {
            foreach (Workload work in works)
            {
                Sample empty = new(round, driver, work.Id, ceiling.Name);
                await TryAsync(ceiling.Name, async () =>
                    Add(await BareMeasurement.RunAsync(ceiling, work, options.Durations, empty, cancellation)));
            }
        }
    }

    /// <summary>Frames of one flow: Ringmaster without merging them, with it, and DPDK, which does not.</summary>
    private async Task MergeAsync(int round, string engine)
    {
        IEnumerable<Workload> toNobody = Workload.OfOneFlow.Where(work => work.Flows == Flows.One);
        await MeasureCeilingsAsync(round, DriveGuest.DriverName, [Ceiling.CSharp(engine)], [.. toNobody]);
        Contender[] contenders = [Contender.Ringmaster(engine), Contender.RingmasterMerging(engine), Contender.Dpdk];
        foreach (Contender contender in Turned(contenders, round))
        {
            await TryAsync(contender.Name, async () =>
            {
                await using TestNamespace network = await TestNamespace.CreateAsync();
                await using IBackend backend = await contender.StartAsync(network);
                await using var guest = new DriveGuest(backend, options.Durations);
                await MeasureAsync(new Sample(round, DriveGuest.DriverName, "", contender.Name), guest, Workload.OfOneFlow);
            });
        }
    }

    private async Task EchoAsync(int round, Contender contender)
    {
        await using TestNamespace network = await TestNamespace.CreateAsync();
        await using IBackend backend = await contender.StartAsync(network);
        await using var guest = new DriveGuest(backend, options.Durations);
        Sample empty = new(round, DriveGuest.DriverName, EchoWork, contender.Name);
        _ = await guest.EchoAsync(empty);
        Add(await guest.EchoAsync(empty));
    }

    /// <summary>One pair, then two, with driver and workers on the same two CPUs: only CPU time for a frame can tell.</summary>
    private async Task PairsAsync(int round, Contender contender)
    {
        await using TestNamespace network = await TestNamespace.CreateAsync();
        await using IBackend backend = await contender.StartAsync(network);
        await using var guest = new DriveGuest(backend, options.Durations) { Pinned = false };
        Workload work = Workload.All[0];
        Sample empty = new(round, DriveGuest.DriverName, "", contender.Name);
        _ = await guest.MeasureAsync(work, empty, pairs: 2, cancellation);
        foreach (int pairs in new[] { 1, 2 })
        {
            Add(await guest.MeasureAsync(work, empty with { Work = PairsWork + Text(pairs) }, pairs, cancellation));
        }
    }

    private async Task TryAsync(string who, Func<Task> work)
    {
        try
        {
            await work();
        }
        catch (Exception failure) when (failure is RequirementException or LinuxException or TimeoutException
            or InvalidOperationException or Win32Exception)
        {
            _notes.Add($"{who}: {failure.Message}");
            Console.Error.WriteLine($"{who}: {failure.Message}");
        }

        cancellation.ThrowIfCancellationRequested();
    }

    private void Add(Sample sample)
    {
        _samples.Add(sample);
        string result = sample.P50 is null
            ? string.Create(CultureInfo.InvariantCulture, $"{sample.NanosecondsPerFrame,7:F0} ns a frame")
            : string.Create(CultureInfo.InvariantCulture, $"p50 {sample.P50:F1} us, p99 {sample.P99:F1} us");
        Console.Error.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{sample.Round,3}  {sample.Driver,-10}  {sample.Work,-17}  {sample.Contender,-32}  "
            + $"{sample.FramesPerSecond,9:F0}/s  {result}"));
    }

    private IEnumerable<Ceiling> CeilingsOf(string engine)
    {
        Ceiling[] ceilings = [Ceiling.CSharp(engine), Ceiling.WithGuest(engine)];
        return options.BareC is { } program ? [.. ceilings, Ceiling.C(engine, program)] : ceilings;
    }

    private static IEnumerable<T> Turned<T>(IReadOnlyList<T> all, int round) =>
        Enumerable.Range(0, all.Count).Select(i => all[(i + round) % all.Count]);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
