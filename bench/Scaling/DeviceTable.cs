using System.Diagnostics;
using System.Globalization;

namespace Ringmaster.Bench.Scaling;

/// <summary>The first table: what devices and pairs cost while they start, while they wait and while they idle.</summary>
internal static class DeviceTable
{
    // After the last guest connected: the log is written, the pool's threads have gone to sleep.
    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(2);

    internal static void Write(Options options, QuietNetwork network, TextWriter output)
    {
        output.WriteLine(
            "| devices x pairs | start, s | of it CPU, s | MiB, waiting | MiB, connected | of it private | threads | fds "
            + "| connect, ms | idle, % of a core | wake-ups in a second |");
        output.WriteLine("|---|---|---|---|---|---|---|---|---|---|---|");
        foreach (Size size in options.Sizes)
        {
            output.WriteLine(Row(options, network, size));
            output.Flush();
        }
    }

    private static string Row(Options options, QuietNetwork network, Size size)
    {
        using var backend = Backend.Run(options.Executable, network, size);
        ProcessUse waiting = backend.Use();
        using var guests = Guests.ConnectAll(backend);
        Thread.Sleep(Settling);
        ProcessUse before = backend.Use();
        long start = Stopwatch.GetTimestamp();
        Thread.Sleep(TimeSpan.FromSeconds(options.IdleSeconds));
        ProcessUse after = backend.Use();
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        double idle = (after.Cpu - before.Cpu).TotalSeconds / seconds;
        double wakeUps = after.RunsSince(before) / seconds;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"| {size.Devices} x {size.Pairs} | {backend.Start.TotalSeconds:F2} | {backend.AtStart.Cpu.TotalSeconds:F2} "
            + $"| {MiB(waiting.ResidentKiB)} | {MiB(after.ResidentKiB)} | {MiB(after.PrivateKiB)} "
            + $"| {after.Runs.Count} | {after.Descriptors} | {guests.Connect.TotalMilliseconds:F1} "
            + $"| {100 * idle:F3} | {wakeUps:F0} |");
    }

    private static string MiB(long kibibytes) => (kibibytes / 1024.0).ToString("F1", CultureInfo.InvariantCulture);
}
