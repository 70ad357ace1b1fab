using System.Globalization;

namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>What the kernel's UDP counted in a network namespace (<c>/proc/net/snmp</c>).</summary>
internal static class UdpCounters
{
    /// <summary>Datagrams for sockets that there are: those read, and those whose socket had no room for them.</summary>
    internal static long Arrived(TestNamespace network)
    {
        string[][] lines = network.Inside(() => File.ReadAllLines("/proc/thread-self/net/snmp")
            .Where(line => line.StartsWith("Udp:", StringComparison.Ordinal))
            .Select(line => line.Split(' '))
            .ToArray());
        long Number(string name) => long.Parse(lines[1][Array.IndexOf(lines[0], name)], CultureInfo.InvariantCulture);
        return Number("InDatagrams") + Number("RcvbufErrors");
    }
}
