using System.Globalization;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// What the kernel counted at an interface. At a TAP, "received" is what the back-end wrote into it (guest to host)
/// and "sent" is what the back-end read from it (host to guest).
/// </summary>
internal sealed record InterfaceCounters(
    long ReceivedBytes, long ReceivedFrames, long ReceivedErrors, long ReceivedDropped,
    long SentBytes, long SentFrames, long SentErrors, long SentDropped)
{
    /// <summary>Reads one line of <c>/proc/net/dev</c>: eight numbers for receive, eight for send.</summary>
    internal static InterfaceCounters? Parse(string procNetDev, string name)
    {
        string? line = procNetDev.Split('\n')
            .FirstOrDefault(candidate => candidate.TrimStart().StartsWith(name + ":", StringComparison.Ordinal));
        if (line is null)
        {
            return null;
        }

        long[] n = [.. line[(line.IndexOf(':') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(number => long.Parse(number, CultureInfo.InvariantCulture))];
        return new InterfaceCounters(n[0], n[1], n[2], n[3], n[8], n[9], n[10], n[11]);
    }
}
