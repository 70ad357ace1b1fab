using System.Globalization;
using Ringmaster.Bench.Compare.Contenders;
using Ringmaster.Bench.Compare.Measuring;

namespace Ringmaster.Bench.Compare;

/// <summary>
/// The performance guard: each engine against the bare loop (with a guest) over the same system calls, in the same run, by CPU
/// time for a frame of 64 bytes, which other load on the machine changes least. What is below the limit is measured once more.
/// </summary>
internal sealed class Guard(CancellationToken cancellation)
{
    /// <summary>So much of the bare loop's speed there must be: far below what there is, so that only the gross fails.</summary>
    private const double Limit = 0.6;

    private static readonly Durations Times = new(TimeSpan.FromSeconds(2.5), TimeSpan.FromSeconds(1));
    private static readonly IReadOnlyList<Workload> Works = [new(Direction.GuestToTap, 64), new(Direction.TapToGuest, 64)];

    /// <returns>True when all are above the limit.</returns>
    internal async Task<bool> RunAsync()
    {
        bool good = true;
        IReadOnlyList<string> engines = Engines.Available(out string? refusal);
        foreach (string engine in engines)
        {
            good &= await HoldsAtOnceAsync(engine) || await HoldsAsync(engine);
        }

        if (refusal is not null)
        {
            Console.Out.WriteLine($"io-uring: not guarded, since it is refused here: {refusal}");
        }

        return good;
    }

    /// <summary>What cannot be measured, for nothing moves in time, is measured once more as well.</summary>
    private async Task<bool> HoldsAtOnceAsync(string engine)
    {
        try
        {
            return await HoldsAsync(engine);
        }
        catch (Exception failure) when (failure is TimeoutException or InvalidOperationException)
        {
            Console.Out.WriteLine($"{engine,-8}  {failure.Message}");
            return false;
        }
    }

    private async Task<bool> HoldsAsync(string engine)
    {
        bool good = true;
        await using TestNamespace network = await TestNamespace.CreateAsync();
        await using IBackend backend = await Contender.Ringmaster(engine).StartAsync(network);
        var guest = new DriveGuest(backend, Times) { Polls = true };
        foreach (Workload work in Works)
        {
            Sample empty = new(0, DriveGuest.DriverName, work.Id, engine);
            Sample bare = await BareMeasurement.RunAsync(Ceiling.WithGuest(engine), work, Times, empty, cancellation);
            Sample ours = await guest.MeasureAsync(work, empty, cancellation);
            double ratio = bare.NanosecondsPerFrame / ours.NanosecondsPerFrame;
            good &= ratio >= Limit;
            Console.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{engine,-8}  {work.Id,-15}  {ratio:F2} of the bare loop ({ours.NanosecondsPerFrame:F0} ns a frame, bare "
                + $"{bare.NanosecondsPerFrame:F0}){(ratio >= Limit ? "" : $"  BELOW {Limit}")}"));
        }

        return good;
    }
}
