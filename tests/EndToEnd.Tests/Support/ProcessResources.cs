namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// What a process holds that could leak: descriptors, threads of its own (those of the .NET runtime, whose pool breathes,
/// are left out), and mappings of files that front-ends passed.
/// </summary>
internal sealed record ProcessResources(int Descriptors, int Threads, int GuestMappings)
{
    /// <summary>Counted in /proc. The test's front-ends have their memory in a memfd, which names its mappings.</summary>
    internal static ProcessResources Of(int process) => new(
        Directory.GetFileSystemEntries($"/proc/{process}/fd").Length,
        Directory.GetDirectories($"/proc/{process}/task").Count(IsOwnThread),
        File.ReadLines($"/proc/{process}/maps").Count(IsGuestMemory));

    private static bool IsOwnThread(string task)
    {
        try
        {
            return !File.ReadAllText(Path.Combine(task, "comm")).StartsWith(".NET", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false; // it has ended meanwhile
        }
    }

    private static bool IsGuestMemory(string mapping) =>
        mapping.Contains("/memfd:", StringComparison.Ordinal)
        && !mapping.Contains("/memfd:doublemapper", StringComparison.Ordinal);
}
