using System.Diagnostics;
using Ringmaster.Native.Driver;

namespace Ringmaster.Bench.Scaling;

/// <summary>A network namespace for the TAPs, in which the kernel sends nothing of its own accord.</summary>
internal sealed class QuietNetwork : IDisposable
{
    private readonly PrivateNetwork _network = new();

    // /proc/sys/net shows the namespace of the thread that looks. IPv6 would send router solicitations into every TAP.
    internal QuietNetwork() => _network.Run(() =>
    {
        File.WriteAllText("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        return true;
    });

    /// <summary>Starts a program inside: a child has the namespace of the thread that made it.</summary>
    internal Process Start(ProcessStartInfo program) =>
        _network.Run(() => Process.Start(program)) ?? throw new InvalidOperationException($"{program.FileName} was not started");

    public void Dispose() => _network.Dispose();
}
