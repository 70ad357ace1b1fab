using System.Globalization;
using Spectre.Console;

namespace Ringmaster.Host.Demo;

/// <summary>What the demo shows: a live table on a terminal, a line a second elsewhere.</summary>
internal sealed class DemoView
{
    // Where nobody looks at a screen, nothing is wrapped.
    private const int NoWrap = 1000;
    private static readonly TimeSpan Refresh = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LineEvery = TimeSpan.FromSeconds(1);

    private readonly IAnsiConsole _console;
    private readonly bool _live;

    /// <param name="console">Where to.</param>
    /// <param name="live">True: it is a terminal on which a table can be drawn anew.</param>
    internal DemoView(IAnsiConsole console, bool live)
    {
        _console = console;
        _live = live && console.Profile.Capabilities.Ansi;
        if (!_live)
        {
            console.Profile.Width = NoWrap;
        }
    }

    /// <summary>One line of the story.</summary>
    internal void Say(string line) => _console.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"{line}");

    /// <summary>Shows the numbers until a task has ended.</summary>
    internal async Task FollowAsync(DemoStage stage, Task until)
    {
        if (!_live)
        {
            await PrintLinesAsync(stage, until);
            return;
        }

        DemoSnapshot before = await DemoSnapshot.TakeAsync(stage);
        await _console.Live(Table(before, before)).StartAsync(async live =>
        {
            while (!until.IsCompleted)
            {
                await Task.WhenAny(until, Task.Delay(Refresh));
                DemoSnapshot now = await DemoSnapshot.TakeAsync(stage);
                live.UpdateTarget(Table(before, now));
                before = now;
            }
        });
    }

    /// <summary>The verdict: each check with its outcome.</summary>
    internal void Conclude(IReadOnlyList<DemoCheck> checks, TimeSpan took)
    {
        foreach (DemoCheck check in checks)
        {
            string mark = check.Holds ? "[green]  ok  [/]" : "[red]FAILED[/]";
            _console.MarkupLine($"{mark} {Markup.Escape(check.Claim)}: {Markup.Escape(check.Found)}");
        }

        int failed = checks.Count(check => !check.Holds);
        string verdict = failed == 0
            ? string.Create(CultureInfo.InvariantCulture, $"All {checks.Count} checks held in {took.TotalSeconds:F1} s.")
            : string.Create(CultureInfo.InvariantCulture, $"{failed} of {checks.Count} checks failed.");
        _console.MarkupLine($"[bold {(failed == 0 ? "green" : "red")}]{verdict}[/]");
    }

    private async Task PrintLinesAsync(DemoStage stage, Task until)
    {
        DemoSnapshot before = await DemoSnapshot.TakeAsync(stage);
        while (!until.IsCompleted)
        {
            await Task.WhenAny(until, Task.Delay(LineEvery));
            DemoSnapshot now = await DemoSnapshot.TakeAsync(stage);
            foreach (string[] row in Rows(before, now))
            {
                string flows = $"UDP echoes {row[3]}/s, TCP to host {row[4]}, to guest {row[5]}";
                _console.WriteLine($"  pair {row[0]}: worker {row[1]} {row[2]}, {flows}");
            }

            before = now;
        }
    }

    private static Table Table(DemoSnapshot before, DemoSnapshot now)
    {
        Table table = new Table().RoundedBorder();
        foreach (string title in (string[])["pair", "worker", "state", "UDP echoes/s", "TCP to host", "TCP to guest", "frames/s"])
        {
            table.AddColumn(new TableColumn(title).NoWrap());
        }

        foreach (string[] row in Rows(before, now))
        {
            table.AddRow(row);
        }

        return table;
    }

    private static IEnumerable<string[]> Rows(DemoSnapshot before, DemoSnapshot now)
    {
        double seconds = Math.Max(now.SecondsSince(before), 1e-3);
        string Rate(long from, long to) => string.Create(CultureInfo.InvariantCulture, $"{(to - from) / seconds:N0}");
        string Bits(long from, long to) =>
            string.Create(CultureInfo.InvariantCulture, $"{(to - from) * 8 / seconds / 1e9:F2} Gbit/s");
        return before.Pairs.Zip(now.Pairs, (a, b) => new[]
        {
            string.Create(CultureInfo.InvariantCulture, $"{b.Pair}"),
            string.Create(CultureInfo.InvariantCulture, $"#{b.Generation}"),
            b.State.ToString(),
            Rate(a.Datagrams, b.Datagrams),
            Bits(a.ToHost, b.ToHost),
            Bits(a.ToGuest, b.ToGuest),
            Rate(a.Frames, b.Frames),
        });
    }
}
