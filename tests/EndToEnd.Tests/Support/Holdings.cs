using System.Text.RegularExpressions;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// What a process holds that could leak, counted by kind, so that a difference says what leaked: descriptors by what they
/// refer to, threads by name, and mappings of guest memory. What the runtime loads, starts and ends as it likes is left out:
/// its assemblies and the threads of its pool.
/// </summary>
internal sealed class Holdings
{
    private static readonly string[] RuntimeThreads = [".NET TP", ".NET Tiered", "iou-"];
    private static readonly Regex InstanceNumber = new(@"\[\d+\]");

    private const string GuestMemory = "mapping of guest memory";

    private readonly Dictionary<string, int> _counts;

    private Holdings(IEnumerable<string?> names) =>
        _counts = names.OfType<string>().GroupBy(name => name).ToDictionary(group => group.Key, group => group.Count());

    internal static Holdings Of(int process) => new(
    [
        .. Directory.GetFileSystemEntries($"/proc/{process}/fd").Select(Target),
        .. Directory.GetDirectories($"/proc/{process}/task").Select(ThreadName),
        .. File.ReadLines($"/proc/{process}/maps").Where(IsGuestMemory).Select(_ => GuestMemory),
    ]);

    /// <summary>Mappings of guest memory.</summary>
    internal int GuestMappings => _counts.GetValueOrDefault(GuestMemory);

    /// <summary>How many descriptors the process has open.</summary>
    internal static int DescriptorsOf(int process) =>
        Directory.GetFileSystemEntries($"/proc/{process}/fd").Count(link => Target(link) is not null);

    /// <summary>What there is now that was not there before, and the other way round; empty when nothing changed.</summary>
    internal string ChangedSince(Holdings before) => string.Join(", ", _counts.Keys.Union(before._counts.Keys)
        .Select(name => (Name: name, Now: _counts.GetValueOrDefault(name), Before: before._counts.GetValueOrDefault(name)))
        .Where(count => count.Now != count.Before)
        .Select(count => $"{count.Name}: {count.Now} instead of {count.Before}"));

    /// <summary>Null for a descriptor that was closed meanwhile, and for one of the runtime's own files.</summary>
    private static string? Target(string link) =>
        new FileInfo(link).LinkTarget is { } target && !target.EndsWith(".dll", StringComparison.Ordinal)
            ? InstanceNumber.Replace(target, "[]")
            : null;

    /// <summary>Null for a thread that has ended meanwhile or is the runtime's.</summary>
    private static string? ThreadName(string task)
    {
        try
        {
            string name = File.ReadAllText(Path.Combine(task, "comm")).TrimEnd('\n');
            return RuntimeThreads.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal)) ? null : $"thread {name}";
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static bool IsGuestMemory(string mapping) =>
        mapping.Contains("/memfd:", StringComparison.Ordinal)
        && !mapping.Contains("/memfd:doublemapper", StringComparison.Ordinal);
}
