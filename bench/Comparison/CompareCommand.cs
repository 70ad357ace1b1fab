using System.CommandLine;
using System.ComponentModel;
using System.Globalization;
using System.Runtime.InteropServices;
using Ringmaster.Bench.Compare.Contenders;
using Ringmaster.Bench.Compare.Report;
using Ringmaster.Native.Linux;

namespace Ringmaster.Bench.Compare;

/// <summary>The command line.</summary>
internal static class CompareCommand
{
    private const int Failure = 1;
    private const string FileName = "comparison";
    private static readonly TimeSpan MostOfARound = TimeSpan.FromMinutes(10);

    private static readonly Option<bool> GuardOption = new("--guard")
    {
        Description = "Only check, in less than a minute, that Ringmaster is not far slower than the bare loop; fail if it is.",
    };

    private static readonly Option<int> RoundsOption = new("--rounds")
    {
        Description = "How often everything is measured; 5 or more for numbers to be shown.",
        HelpName = "N",
        DefaultValueFactory = _ => 5,
    };

    private static readonly Option<string[]> BackendOption = new("--backend")
    {
        Description = "One more back-end: words, with {socket} and {tap} for the socket and the TAP that it is to make.",
        HelpName = "\"NAME=COMMAND\"",
    };

    private static readonly Option<bool> WithCOption = new("--with-c")
    {
        Description = "Measure the bare loop in C as well (needs gcc).",
    };

    private static readonly Option<string> OutputOption = new("--output")
    {
        Description = "Where comparison.json, .md and .svg go. Default: bench/results.",
        HelpName = "DIRECTORY",
        DefaultValueFactory = _ => Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../../results")),
    };

    private static readonly Option<bool> AppendOption = new("--append")
    {
        Description = "Add to the rounds in comparison.json, of the same machine; --rounds 0 only writes table and plot anew.",
    };

    internal static async Task<int> RunAsync(string[] arguments)
    {
        var root = new RootCommand("Compares Ringmaster with other back-ends and with the bare TAP, side by side.")
        {
            RoundsOption, BackendOption, WithCOption, OutputOption, AppendOption, GuardOption,
        };
        root.SetAction(RunAsync);
        return await root.Parse(arguments).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true;
            ended.Cancel();
        }

        using PosixSignalRegistration onInterrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration onTerminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        try
        {
            Require.Root();
            if (parsed.GetValue(GuardOption))
            {
                return await new Guard(ended.Token).RunAsync() ? 0 : Failure;
            }

            ended.CancelAfter(MostOfARound * Math.Max(parsed.GetValue(RoundsOption), 1));
            await CompareAsync(parsed, ended.Token);
            return 0;
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine("compare: ended early; everything that was started is gone");
            return Failure;
        }
        catch (Exception failure) when (failure is RequirementException or LinuxException or TimeoutException
            or InvalidOperationException or Win32Exception or IOException)
        {
            Console.Error.WriteLine($"compare: {failure.Message}");
            return Failure;
        }
    }

    /// <summary>What was measured is written in any case, also when the run ends early.</summary>
    private static async Task CompareAsync(ParseResult parsed, CancellationToken cancellation)
    {
        string folder = parsed.GetRequiredValue(OutputOption);
        string json = Path.Combine(folder, FileName + ".json");
        ResultFile? earlier = parsed.GetValue(AppendOption) ? ResultFile.Read(json) : null;
        using TemporaryFolder temporary = new();
        string bareC = temporary[FileName];
        if (parsed.GetValue(WithCOption))
        {
            await Ceiling.CompileAsync(bareC);
        }

        var comparison = new Comparison(
            new ComparisonOptions
            {
                Rounds = parsed.GetValue(RoundsOption),
                Others = [.. (parsed.GetValue(BackendOption) ?? []).Select(ParseBackend)],
                BareC = parsed.GetValue(WithCOption) ? bareC : null,
            },
            cancellation);
        Machine machine = await Machine.ReadAsync();
        try
        {
            await comparison.RunAsync(earlier?.NextRound ?? 0);
        }
        finally
        {
            Write(folder, json, new ResultFile(
                comparison.Samples.Count > 0 ? machine : earlier?.Machine ?? machine,
                [.. (earlier?.Notes ?? []).Union(comparison.Notes)],
                [.. earlier?.Samples ?? [], .. comparison.Samples]));
        }
    }

    private static void Write(string folder, string json, ResultFile file)
    {
        Directory.CreateDirectory(folder);
        file.Write(json);
        File.WriteAllText(Path.ChangeExtension(json, ".md"), MarkdownReport.Write(file, FileName + ".svg"));
        PlotReport.Write(file, Path.ChangeExtension(json, ".svg"));
        Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"compare: {file.Rounds} rounds in {folder}"));
    }

    private static Contender ParseBackend(string text)
    {
        int equals = text.IndexOf('=');
        bool complete = equals > 0
            && text.Contains("{socket}", StringComparison.Ordinal) && text.Contains("{tap}", StringComparison.Ordinal);
        return complete
            ? Contender.Other(text[..equals], text[(equals + 1)..])
            : throw new InvalidOperationException($"--backend {text}: allowed is NAME=COMMAND with {{socket}} and {{tap}} in it");
    }
}
