using System.Diagnostics;
using System.Net.NetworkInformation;
using Ringmaster.EndToEnd.Tests.Support;
using static Ringmaster.EndToEnd.Tests.Support.ServedGuest;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>
/// The back-end crashes; QEMU (<c>reconnect=1</c>) connects to the next one and goes on with the rings as they are.
/// </summary>
public sealed class GuestReconnectSpec(GuestReconnectSpec.Reconnecting served) : IClassFixture<GuestReconnectSpec.Reconnecting>
{
    /// <summary>Several in a row, so that buffers lost in each of them would add up to a ring that starves.</summary>
    private const int Crashes = 3;

    /// <summary>
    /// Counted from the moment that the new process listens; the median counts, for the machine is shared with an emulated
    /// guest. QEMU tries again once a second.
    /// </summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan PingTimeout = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    [SkippableTheory]
    [InlineData("an idle guest")]
    [InlineData("TCP from host to guest", "-t", "20")]
    [InlineData("TCP from guest to host", "-t", "20", "-R")]
    public async Task Traffic_resumes_within_two_seconds_of_the_restart_after_kill_9(string during, params string[] iperf)
    {
        Backends.SkipForDpdk("the restart is RingmasterProcess's");
        QemuGuest guest = await served.GuestAsync();
        RingmasterProcess backend = (RingmasterProcess)served.Backend;
        Assert.Equal(IPStatus.Success, backend.Namespace.Ping(GuestAddress, Patience));
        await using ManagedProcess? load = iperf.Length == 0 ? null : await LoadAsync(guest, backend.Namespace, iperf);

        List<TimeSpan> resumed = [];
        for (int crash = 0; crash < Crashes; crash++)
        {
            await backend.Process.KillAsync();
            await backend.RestartAsync();
            Stopwatch sinceRestart = Stopwatch.StartNew();
            await RememberGuestAsync(backend);
            await Eventually.EqualAsync(IPStatus.Success, () => backend.Namespace.Ping(GuestAddress, PingTimeout), Patience);
            resumed.Add(sinceRestart.Elapsed);
        }

        Assert.True(
            resumed.Order().ElementAt(Crashes / 2) < Limit,
            $"with {during}, traffic resumed after {string.Join(", ", resumed)}; ringmaster printed:\n{backend.Process.Output}");
        if (load is not null)
        {
            await load.KillAsync();
        }

        await EverythingWorksAsync(guest, backend);
    }

    /// <summary>
    /// The interface is new, so the host has forgotten the guest's MAC address, and asks for it no more than once a second:
    /// what is measured is Ringmaster and QEMU, not ARP. The guest knows the host's, for <c>tap.host-mac</c> is set.
    /// </summary>
    private static Task RememberGuestAsync(RingmasterProcess backend) =>
        backend.Namespace.ConfigureAsync("neighbour", "replace", GuestAddress, "lladdr", QemuGuest.Mac, "dev", backend.Tap);

    /// <summary>Starts iperf3; returns when frames flow.</summary>
    private static async Task<ManagedProcess> LoadAsync(QemuGuest guest, TestNamespace network, string[] arguments)
    {
        await guest.MustRunAsync("until netstat -ltn | grep -q ':5201 '; do usleep 20000; done");
        Stopwatch watch = Stopwatch.StartNew();
        while (true)
        {
            ManagedProcess load = network.Start(
                "iperf3", "iperf3", ["--forceflush", "-i", "0.2", "-c", GuestAddress, .. arguments]);
            try
            {
                await load.LineAsync("bits/sec", Patience);
                return load;
            }
            catch (TimeoutException)
            {
                await load.DisposeAsync();
                if (!IperfResult.SaysNotReady(load.Output) || watch.Elapsed >= Patience)
                {
                    throw;
                }
            }
        }
    }

    /// <summary>Both directions, at more frames than there are receive buffers, so that a lost buffer would show.</summary>
    private static async Task EverythingWorksAsync(QemuGuest guest, RingmasterProcess backend)
    {
        // The server in the guest may still wait for the client of a stream that the crash cut off.
        await guest.RunAsync("killall -9 iperf3");
        await guest.MustRunAsync($"ping -c 3 -i 0.1 -W 3 {HostAddress}");
        foreach (string[] direction in new string[][] { [], ["-R"] })
        {
            IperfResult result = await IperfResult.RunAsync(
                backend.Namespace, GuestAddress, ["-P", "4", "-t", "1", .. direction]);
            Assert.True(result.BitsPerSecond > 10e6, result.ToString());
        }
    }

    public sealed class Reconnecting : ServedGuest
    {
        internal override QemuOptions Card => new() { Reconnect = true };
    }
}
