using System.Net.NetworkInformation;
using Ringmaster.EndToEnd.Tests.Support;
using static Ringmaster.EndToEnd.Tests.Support.ServedGuest;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>The front-end listens and Ringmaster connects, whichever of the two is there first.</summary>
public sealed class ClientModeSpec
{
    private const int Frames = 5_000;
    private static readonly TimeSpan PingTimeout = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    [SkippableFact]
    public async Task A_guest_whose_QEMU_listens_goes_on_with_the_next_back_end_after_kill_9_and_after_SIGTERM()
    {
        Require.Program("qemu-system-x86_64", "qemu-system-x86");
        await using TestNamespace network = await NetworkAsync(ipv6: true);
        await using RingmasterProcess backend = await RingmasterProcess.StartAsync(
            network, new BackendOptions { FrontEndListens = true, Addresses = [HostAddress + "/24"], HostMac = HostMac });
        await backend.Process.LineAsync("device net0: nobody listens there", Patience);

        await using QemuGuest guest = await QemuGuest.BootAsync(backend, new QemuOptions { Listens = true });
        await ConfigureAsync(guest);
        Assert.Equal(IPStatus.Success, network.Ping(GuestAddress, Patience));

        await backend.Process.KillAsync();
        await RunsAgainAsync(backend);
        backend.Process.Terminate();
        Assert.Equal(0, await backend.Process.ExitAsync(Patience));
        await RunsAgainAsync(backend);

        await guest.MustRunAsync($"ping -c 3 -i 0.1 -W 3 {HostAddress}");
        IperfResult result = await IperfResult.RunAsync(network, GuestAddress, ["-P", "4", "-t", "1", "-R"]);
        Assert.True(result.BitsPerSecond > 10e6, result.ToString());
    }

    [SkippableFact]
    public async Task One_testpmd_that_listens_after_the_other_is_served()
    {
        Require.Program("dpdk-testpmd", "dpdk-dev");
        await using TestNamespace network = await NetworkAsync(ipv6: false);
        await using RingmasterProcess backend = await RingmasterProcess.StartAsync(
            network, new BackendOptions { FrontEndListens = true });

        for (int session = 1; session <= 2; session++)
        {
            int mark = backend.Process.Mark;
            TestpmdOptions options = new(Queues: 2, Mergeable: true, QueueSize: 256) { Listens = true };
            await using TestpmdFrontEnd testpmd = await TestpmdFrontEnd.StartAsync(backend, options);
            await backend.Process.LineAsync($"device net0: front-end connected, session {session}", Patience);
            long before = Arrived(backend);
            await testpmd.StartForwardingAsync("txonly");
            await Eventually.EqualAsync(true, () => Arrived(backend) - before >= Frames, Patience);
            await testpmd.QuitAsync();
            await backend.Process.LineAsync($"device net0: front-end gone, session {session}", Patience, mark);
        }
    }

    private static Task<TestNamespace> NetworkAsync(bool ipv6)
    {
        Require.Root();
        Backends.SkipForDpdk("client mode is Ringmaster's");
        return TestNamespace.CreateAsync(ipv6);
    }

    private static async Task RunsAgainAsync(RingmasterProcess backend)
    {
        await backend.RestartAsync();
        await backend.Namespace.ConfigureAsync(
            "neighbour", "replace", GuestAddress, "lladdr", QemuGuest.Mac, "dev", backend.Tap);
        await Eventually.EqualAsync(IPStatus.Success, () => backend.Namespace.Ping(GuestAddress, PingTimeout), Patience);
    }

    private static long Arrived(RingmasterProcess backend) => backend.Namespace.CountersOf(backend.Tap)?.ReceivedFrames ?? 0;
}
