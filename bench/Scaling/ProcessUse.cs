using System.Globalization;
using System.Runtime.InteropServices;

namespace Ringmaster.Bench.Scaling;

/// <summary>What a process holds and has used, by the kernel's own accounts.</summary>
/// <param name="Cpu">CPU time of all its threads since its start, those that have ended included.</param>
/// <param name="ResidentKiB">Resident memory (VmRSS).</param>
/// <param name="PrivateKiB">Its part that no file and no other process shares (RssAnon).</param>
/// <param name="Descriptors">Open descriptors.</param>
/// <param name="Runs">How often each of its threads has been put on a CPU, by the thread's number.</param>
internal sealed record ProcessUse(
    TimeSpan Cpu,
    long ResidentKiB,
    long PrivateKiB,
    int Descriptors,
    IReadOnlyDictionary<string, long> Runs)
{
    // linux/posix-timers.h: CPUCLOCK_SCHED of a process; its number is the complement of the process's, shifted by 3.
    private const int SchedulerClock = 2;

    internal static ProcessUse Of(int process)
    {
        string[] status = File.ReadAllLines($"/proc/{process}/status");
        Dictionary<string, long> runs =
            Directory.EnumerateDirectories($"/proc/{process}/task").ToDictionary(task => task, task => Account(task)[2]);
        return new ProcessUse(
            CpuOf(process),
            Field(status, "VmRSS:"),
            Field(status, "RssAnon:"),
            Directory.EnumerateFileSystemEntries($"/proc/{process}/fd").Count(),
            runs);
    }

    /// <summary>How often the threads that lived all the while were put on a CPU since then.</summary>
    internal long RunsSince(ProcessUse before) =>
        Runs.Sum(each => before.Runs.TryGetValue(each.Key, out long then) ? each.Value - then : 0);

    /// <summary>The CPU time of the one thread of that name.</summary>
    internal static TimeSpan ThreadTime(int process, string name)
    {
        string task = Directory.EnumerateDirectories($"/proc/{process}/task")
            .Single(each => File.ReadAllText(Path.Combine(each, "comm")).TrimEnd() == name);
        return TimeSpan.FromMicroseconds(Account(task)[0] / 1000.0);
    }

    /// <summary>Nanoseconds on a CPU and of waiting for one, times put on one; zeros for a thread that has ended.</summary>
    private static long[] Account(string task)
    {
        try
        {
            return [.. File.ReadAllText(Path.Combine(task, "schedstat")).Split(' ').Select(long.Parse)];
        }
        catch (IOException)
        {
            return [0, 0, 0];
        }
    }

    private static TimeSpan CpuOf(int process)
    {
        int result = clock_gettime((~process << 3) | SchedulerClock, out TimeSpec time);
        return result == 0
            ? TimeSpan.FromSeconds(time.Seconds) + TimeSpan.FromMicroseconds(time.Nanoseconds / 1000.0)
            : throw new InvalidOperationException($"the CPU time of process {process} cannot be read");
    }

    private static long Field(string[] status, string name)
    {
        string value = status.Single(line => line.StartsWith(name, StringComparison.Ordinal))[name.Length..];
        return long.Parse(value.Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture);
    }

    [DllImport("libc")]
    private static extern int clock_gettime(int clock, out TimeSpec time);

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        internal long Seconds;
        internal long Nanoseconds;
    }
}
