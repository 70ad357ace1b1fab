using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// One child process: its output as lines that can be awaited, its standard input, and an end by its id that
/// happens in every case (<see cref="DisposeAsync"/>). Output of both streams is kept for failure messages.
/// </summary>
internal sealed class ManagedProcess : IAsyncDisposable
{
    private const int SIGTERM = 15;
    private static readonly TimeSpan EndTimeout = TimeSpan.FromSeconds(10);

    private readonly Process _process;
    private readonly string _name;
    private readonly Lock _gate = new();
    private readonly List<string> _lines = [];
    private TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _openStreams = 2;

    private ManagedProcess(Process process, string name)
    {
        _process = process;
        _name = name;
    }

    internal int Id => _process.Id;

    internal bool HasExited => _process.HasExited;

    /// <summary>The exit code; 128 + n after signal n.</summary>
    internal int ExitCode => _process.ExitCode;

    /// <summary>How many lines have come so far: a mark for <see cref="LineAsync(Regex, TimeSpan, int)"/>.</summary>
    internal int Mark
    {
        get
        {
            lock (_gate)
            {
                return _lines.Count;
            }
        }
    }

    /// <summary>Everything the process has printed.</summary>
    internal string Output
    {
        get
        {
            lock (_gate)
            {
                return string.Join('\n', _lines);
            }
        }
    }

    /// <summary>Starts a program. Its standard streams are pipes.</summary>
    internal static ManagedProcess Start(string name, string program, params IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new(Require.FindProgram(program) ?? program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment.Remove("DOTNET_STARTUP_HOOKS");
        Process process = new() { StartInfo = start };
        ManagedProcess managed = new(process, name);
        process.OutputDataReceived += (_, received) => managed.Received(received.Data);
        process.ErrorDataReceived += (_, received) => managed.Received(received.Data);
        process.Start();
        process.StandardInput.AutoFlush = true;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return managed;
    }

    /// <summary>Runs a program to its end and gives its output. Another exit code than 0 is a failure.</summary>
    internal static async Task<string> RunAsync(TimeSpan timeout, string program, params IEnumerable<string> arguments)
    {
        string[] all = [.. arguments];
        await using ManagedProcess process = Start(program, program, all);
        int exitCode = await process.ExitAsync(timeout);
        return exitCode == 0
            ? process.Output
            : throw new InvalidOperationException(
                $"`{program} {string.Join(' ', all)}` ended with {exitCode}:\n{process.Output}");
    }

    /// <summary>Writes one line to the process's standard input.</summary>
    internal void Write(string line) => _process.StandardInput.WriteLine(line);

    internal Task<Match> LineAsync(string pattern, TimeSpan timeout, int from = 0) =>
        LineAsync(new Regex(pattern), timeout, from);

    /// <summary>The first line from <paramref name="from"/> on that matches; waits for it.</summary>
    /// <exception cref="TimeoutException">No such line came in time, or the process ended without it.</exception>
    internal async Task<Match> LineAsync(Regex pattern, TimeSpan timeout, int from = 0)
    {
        using CancellationTokenSource deadline = new(timeout);
        int next = from;
        while (true)
        {
            Task more;
            bool ended;
            lock (_gate)
            {
                for (; next < _lines.Count; next++)
                {
                    Match match = pattern.Match(_lines[next]);
                    if (match.Success)
                    {
                        return match;
                    }
                }

                ended = _openStreams == 0;
                more = _more.Task;
            }

            if (ended)
            {
                throw new TimeoutException($"{_name} ended without a line that matches /{pattern}/. Its output:\n{Output}");
            }

            try
            {
                await more.WaitAsync(deadline.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"{_name}: no line matched /{pattern}/ in {timeout}. Its output:\n{Output}");
            }
        }
    }

    /// <summary>The lines from a mark on.</summary>
    internal IReadOnlyList<string> LinesFrom(int mark)
    {
        lock (_gate)
        {
            return _lines[mark..];
        }
    }

    /// <summary>Waits for the end and for the last output.</summary>
    internal async Task<int> ExitAsync(TimeSpan timeout)
    {
        using CancellationTokenSource deadline = new(timeout);
        try
        {
            await _process.WaitForExitAsync(deadline.Token);
            return _process.ExitCode;
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"{_name} had not ended after {timeout}. Its output:\n{Output}");
        }
    }

    /// <summary>SIGTERM: the polite request.</summary>
    internal void Terminate()
    {
        if (!_process.HasExited)
        {
            _ = kill(_process.Id, SIGTERM);
        }
    }

    /// <summary>SIGKILL, and the wait for its effect.</summary>
    internal async Task KillAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        await ExitAsync(EndTimeout);
        RemoveDiagnostics();
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        _process.Dispose();
    }

    /// <summary>The pipes and the socket that the .NET runtime leaves behind where its process was killed.</summary>
    private void RemoveDiagnostics()
    {
        foreach (string kind in new[] { "clr-debug-pipe", "dotnet-diagnostic" })
        {
            foreach (string left in Directory.EnumerateFiles(Path.GetTempPath(), $"{kind}-{Id}-*"))
            {
                File.Delete(left);
            }
        }
    }

    private void Received(string? line)
    {
        TaskCompletionSource woken;
        lock (_gate)
        {
            if (line is null)
            {
                _openStreams--;
            }
            else
            {
                _lines.Add(line.TrimEnd('\r'));
            }

            woken = _more;
            _more = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        woken.SetResult();
    }

    [DllImport("libc", SetLastError = true)]
    private static extern int kill(int process, int signal);
}
