namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>What a process holds that could leak: descriptors, threads, and mappings of files that front-ends passed.</summary>
internal sealed record ProcessResources(int Descriptors, int Threads, int GuestMappings)
{
    /// <summary>Counted in /proc. Guest memory is a memfd (or an unlinked or shared file), so its mappings are named so.</summary>
    internal static ProcessResources Of(int process) => new(
        Directory.GetFileSystemEntries($"/proc/{process}/fd").Length,
        Directory.GetDirectories($"/proc/{process}/task").Length,
        File.ReadLines($"/proc/{process}/maps").Count(IsGuestMemory));

    private static bool IsGuestMemory(string mapping) =>
        mapping.Contains("/memfd:", StringComparison.Ordinal) && !mapping.Contains("/memfd:doublemapper", StringComparison.Ordinal);
}
