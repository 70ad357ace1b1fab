namespace Ringmaster.Actors.Tests.Support;

/// <summary>Tests that count what the process holds run alone.</summary>
[CollectionDefinition(Alone, DisableParallelization = true)]
public sealed class Leaks
{
    /// <summary>The collection's name.</summary>
    public const string Alone = "alone";

    /// <summary>Open descriptors, but for those of assemblies, which are loaded as they are first needed.</summary>
    internal static int OpenFds() => Fds().Count();

    /// <summary>Waits, for a bounded time, until what is on its way out has gone.</summary>
    internal static async Task UntilAsync(Func<bool> gone, Func<string> describe)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!gone())
        {
            if (limit.IsCancellationRequested)
            {
                Assert.Fail(describe());
            }

            await Task.Yield();
        }
    }

    /// <summary>What open descriptors point to, most frequent first.</summary>
    internal static string DescribeFds() => string.Join(", ", Fds()
        .GroupBy(name => name)
        .OrderByDescending(group => group.Count())
        .Select(group => $"{group.Count()} {group.Key}"));

    /// <summary>Threads whose names begin so.</summary>
    internal static int Threads(string prefix) =>
        Directory.GetDirectories("/proc/self/task").Count(task => NameOf(task).StartsWith(prefix, StringComparison.Ordinal));

    /// <summary>Mappings of deleted files, as guest memory of the tests is.</summary>
    internal static int DeletedMappings() => File.ReadLines("/proc/self/maps")
        .Where(line => line.Contains(Path.GetTempPath(), StringComparison.Ordinal))
        .Count(line => line.EndsWith("(deleted)", StringComparison.Ordinal));

    private static IEnumerable<string> Fds() => Directory.GetFileSystemEntries("/proc/self/fd")
        .Select(TargetOf)
        .Where(target => !target.EndsWith(".dll", StringComparison.Ordinal));

    private static string TargetOf(string fd)
    {
        try
        {
            return File.ResolveLinkTarget(fd, returnFinalTarget: false)?.FullName ?? "closed";
        }
        catch (IOException)
        {
            return "closed meanwhile";
        }
    }

    private static string NameOf(string task)
    {
        try
        {
            return File.ReadAllText(Path.Combine(task, "comm"));
        }
        catch (IOException)
        {
            return "ended meanwhile";
        }
    }
}
