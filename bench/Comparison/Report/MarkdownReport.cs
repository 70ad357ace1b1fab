using System.Globalization;
using System.Text;
using Ringmaster.Bench.Compare.Contenders;
using Ringmaster.Bench.Compare.Measuring;

namespace Ringmaster.Bench.Compare.Report;

/// <summary>The tables.</summary>
internal static class MarkdownReport
{
    private const string Missing = "-";
    private const string Bare = "of the bare loop";

    private static readonly (string Name, string Title)[] Drivers =
    [
        (TestpmdGuest.DriverName, "DPDK's virtio-user (polls)"), (DriveGuest.DriverName, "`ringmaster drive` (sleeps)"),
    ];

    internal static string Write(ResultFile file, string plot)
    {
        var results = new Results(file.Samples);
        var text = new StringBuilder();
        text.AppendLine("# Ringmaster, its peers and the bare TAP").AppendLine();
        WriteMachine(text, file);
        text.AppendLine().AppendLine($"![Speed as a share of the bare loop]({plot})");
        WriteTargets(text, results);
        foreach ((string driver, string title) in Drivers)
        {
            foreach (Workload work in Workload.All.Concat(Workload.OfOneFlow))
            {
                string how = work.Flows == Flows.Several ? title : "`ringmaster drive` (polls, a ring of 1024)";
                WriteWork(text, results, driver, how, work);
            }
        }

        WriteEcho(text, results);
        WritePairs(text, results);
        if (file.Notes.Count > 0)
        {
            text.AppendLine().AppendLine("## Not measured").AppendLine();
            file.Notes.ToList().ForEach(note => text.AppendLine($"- {note.Split('\n')[0]}"));
        }

        return text.ToString();
    }

    private static void WriteMachine(StringBuilder text, ResultFile file)
    {
        Machine machine = file.Machine;
        void Line(FormattableString line) => text.AppendLine(line.ToString(CultureInfo.InvariantCulture));
        Line($"{machine.Date}, {machine.Cpu}, {machine.Cores} cores, Linux {machine.Kernel}.");
        Line($"Ringmaster {machine.Ringmaster} on {machine.Runtime}; DPDK {machine.Dpdk ?? Missing}.");
        Line($"{file.Rounds} rounds; every number is the median (lowest to highest). Ratios are taken within each round.");
        Line($"[docs/performance.md](../../docs/performance.md) says how it is measured and how to read it.");
    }

    private static void WriteTargets(StringBuilder text, Results results)
    {
        text.AppendLine().AppendLine("## Targets").AppendLine()
            .AppendLine("| what | at least | measured | |")
            .AppendLine("|---|---|---|---|");
        foreach (Target target in Target.All(results))
        {
            string verdict = target.Measured is { } measured ? measured.Median >= target.Goal ? "reached" : "missed" : Missing;
            string goal = target.Goal.ToString("F2", CultureInfo.InvariantCulture);
            text.AppendLine($"| {target.What} | {goal} | {Show(target.Measured, "F2")} | {verdict} |");
        }
    }

    private static void WriteWork(StringBuilder text, Results results, string driver, string driverName, Workload work)
    {
        IReadOnlyList<string> contenders = results.Contenders(driver, work.Id);
        if (contenders.Count == 0)
        {
            return;
        }

        bool toGuest = work.Direction == Direction.TapToGuest;
        string unit = work.Gso ? "Gbit/s" : "thousand frames/s";
        double scale = work.Gso ? work.FrameSize * 8 / 1e9 : 1e-3;
        string kind = work.Gso ? $"GSO frames of {work.FrameSize} bytes" : $"frames of {work.FrameSize} bytes";
        text.AppendLine()
            .AppendLine($"## {work.Way}, {kind}, {driverName}").AppendLine()
            .Append($"| | {unit} | CPU, ns a frame | CPU used | rate, {Bare} | CPU time, {Bare} |")
            .AppendLine(toGuest ? " lost |" : "")
            .AppendLine($"|---|---|---|---|---|---|{(toGuest ? "---|" : "")}");
        string bare = Ceiling.NameOf(Contender.IoUring);
        foreach (string contender in contenders)
        {
            string Cell(Func<Sample, double> number, string format) =>
                Show(results.Get(driver, work.Id, contender, number), format);
            string lost = toGuest ? $" {Cell(sample => sample.LossPercent ?? double.NaN, "F0")} % |" : "";
            text.AppendLine(
                $"| {contender} | {Cell(sample => sample.FramesPerSecond * scale, work.Gso ? "F1" : "F0")} | "
                + $"{Cell(sample => sample.NanosecondsPerFrame, "F0")} | {Cell(sample => 100 * sample.CpuShare, "F0")} % | "
                + $"{Show(results.RateRatio(driver, work.Id, contender, bare), "F2")} | "
                + $"{Show(results.CpuRatio(driver, work.Id, contender, bare), "F2")} |{lost}");
        }
    }

    private static void WriteEcho(StringBuilder text, Results results)
    {
        text.AppendLine().AppendLine("## Round trips, one frame of 64 bytes at a time, `ringmaster drive` (polls)").AppendLine()
            .AppendLine("| | p50, us | p99, us | round trips/s |")
            .AppendLine("|---|---|---|---|");
        const string driver = DriveGuest.DriverName;
        foreach (string contender in results.Contenders(driver, Comparison.EchoWork))
        {
            string Cell(Func<Sample, double?> number, string format) => Show(
                results.Get(driver, Comparison.EchoWork, contender, sample => number(sample) ?? double.NaN), format);
            text.AppendLine(
                $"| {contender} | {Cell(sample => sample.P50, "F1")} | {Cell(sample => sample.P99, "F1")} | "
                + $"{Cell(sample => sample.FramesPerSecond, "F0")} |");
        }
    }

    private static void WritePairs(StringBuilder text, Results results)
    {
        string ring = Contender.NameOf(Contender.IoUring);
        text.AppendLine()
            .AppendLine("## One pair and two, driver and workers on the same two CPUs, guest to TAP, 64 bytes").AppendLine()
            .AppendLine("| pairs | thousand frames/s | CPU, ns a frame |")
            .AppendLine("|---|---|---|");
        foreach (string pairs in new[] { "1", "2" })
        {
            string Cell(Func<Sample, double> number) =>
                Show(results.Get(DriveGuest.DriverName, Comparison.PairsWork + pairs, ring, number), "F0");
            text.AppendLine(
                $"| {pairs} | {Cell(sample => sample.FramesPerSecond / 1000)} | {Cell(sample => sample.NanosecondsPerFrame)} |");
        }
    }

    private static string Show(Spread? spread, string format)
    {
        string Text(double value) => value.ToString(format, CultureInfo.InvariantCulture);
        return spread is { } s ? $"{Text(s.Median)} ({Text(s.Min)} to {Text(s.Max)})" : Missing;
    }
}
