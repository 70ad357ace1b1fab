using System.Globalization;

namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>
/// How long a process's threads have run: the scheduler's own account (the first number of
/// <c>/proc/PID/task/*/schedstat</c>, nanoseconds), right to one tick. The .NET runtime's compiler thread is left out: what it
/// does belongs to the first seconds of a process, not to frames.
/// </summary>
internal static class CpuTime
{
    private const string Compiler = ".NET Tiered Com";

    /// <summary>The sum over the threads that there are.</summary>
    internal static TimeSpan Of(int process) => TimeSpan.FromMicroseconds(
        Directory.EnumerateDirectories($"/proc/{process}/task").Sum(OfThread) / 1000.0);

    private static long OfThread(string task)
    {
        try
        {
            if (File.ReadAllText(Path.Combine(task, "comm")).StartsWith(Compiler, StringComparison.Ordinal))
            {
                return 0;
            }

            string text = File.ReadAllText(Path.Combine(task, "schedstat"));
            return long.Parse(text.AsSpan(0, text.IndexOf(' ')), NumberStyles.None, CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return 0; // it has ended meanwhile
        }
    }
}
