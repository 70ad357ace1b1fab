namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// What tests download or build once and keep: below <c>$XDG_CACHE_HOME/ringmaster-tests</c>, else
/// <c>~/.cache/ringmaster-tests</c>. Safe against other processes that do the same.
/// </summary>
internal static class TestCache
{
    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(3);

    /// <summary>A folder of the cache, built now if it is not there.</summary>
    /// <param name="name">Names what is in it: another recipe, another name.</param>
    /// <param name="buildAsync">
    /// Is given a folder for its work, which goes, and fills the folder <c>result</c> in it, which stays.
    /// </param>
    internal static async Task<string> GetAsync(string name, Func<string, Task> buildAsync)
    {
        string cache = Path.Combine(Root(), "ringmaster-tests");
        Directory.CreateDirectory(cache);
        string finished = Path.Combine(cache, name);
        if (!Directory.Exists(finished))
        {
            await BuildAsync(cache, finished, buildAsync);
        }

        return finished;
    }

    /// <summary>Runs a shell script that must succeed; its output.</summary>
    internal static Task<string> ShellAsync(string script) => ManagedProcess.RunAsync(Timeout, "sh", "-c", script);

    /// <summary>Builds in a folder of its own and renames it in one step; whoever comes second throws his own away.</summary>
    private static async Task BuildAsync(string cache, string finished, Func<string, Task> buildAsync)
    {
        string work = Path.Combine(cache, $"building-{Environment.ProcessId}-{Guid.NewGuid():N}");
        try
        {
            string result = Directory.CreateDirectory(Path.Combine(work, "result")).FullName;
            await buildAsync(work);
            try
            {
                Directory.Move(result, finished);
            }
            catch (IOException) when (Directory.Exists(finished))
            {
            }
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    private static string Root() =>
        Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache
            ? cache
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
}
