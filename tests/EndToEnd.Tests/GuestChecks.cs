using System.Globalization;
using System.Net.NetworkInformation;
using System.Text.RegularExpressions;
using Ringmaster.EndToEnd.Tests.Support;
using static Ringmaster.EndToEnd.Tests.Support.ServedGuest;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>What a Linux guest and its host must be able to do, whatever the card's features and history.</summary>
public abstract partial class GuestChecks(ServedGuest served)
{
    /// <summary>
    /// An emulated guest moves some hundred Mbit/s where it has a core of its own. Far less than that on a busy machine
    /// is no fault; a stream that stalls and lives on retransmissions stays below this.
    /// </summary>
    internal const double LeastBitsPerSecond = 10e6;
    private static readonly TimeSpan PingTimeout = TimeSpan.FromSeconds(3);

    [SkippableFact]
    public async Task The_guest_pings_the_host()
    {
        QemuGuest guest = await served.GuestAsync();
        string output = await guest.MustRunAsync($"ping -c 5 -i 0.1 -W 3 {HostAddress}");
        Assert.Contains("5 packets received", output, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task The_guest_pings_the_host_over_IPv6()
    {
        QemuGuest guest = await served.GuestAsync();
        string output = await guest.MustRunAsync($"ping -c 5 -i 0.1 -W 3 {HostAddress6}");
        Assert.Contains("5 packets received", output, StringComparison.Ordinal);
    }

    [SkippableTheory]
    [InlineData(GuestAddress)]
    [InlineData(GuestAddress6)]
    public async Task The_host_pings_the_guest(string address)
    {
        await served.GuestAsync();
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(IPStatus.Success, served.Backend.Namespace.Ping(address, PingTimeout));
        }
    }

    [SkippableTheory]
    [InlineData(1)]
    [InlineData(4)]
    public async Task TCP_flows_from_host_to_guest(int streams)
    {
        await served.GuestAsync();
        IperfResult result = await IperfResult.RunAsync(served.Backend.Namespace, GuestAddress, "-P", Text(streams));
        Assert.True(result.BitsPerSecond > LeastBitsPerSecond, result.ToString());
    }

    [SkippableTheory]
    [InlineData(1)]
    [InlineData(4)]
    public async Task TCP_flows_from_guest_to_host(int streams)
    {
        await served.GuestAsync();
        IperfResult result = await IperfResult.RunAsync(served.Backend.Namespace, GuestAddress, "-R", "-P", Text(streams));
        Assert.True(result.BitsPerSecond > LeastBitsPerSecond, result.ToString());
    }

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task UDP_flows_with_hardly_a_loss(bool fromGuest)
    {
        await served.GuestAsync();
        string[] direction = fromGuest ? ["-R"] : [];
        Task<IperfResult> RunAsync() => IperfResult.RunAsync(
            served.Backend.Namespace, GuestAddress, ["-u", "-b", "10M", "-l", "1400", "-w", "400K", .. direction]);

        // Where the machine stops for a moment, a socket overflows; a device that loses frames does so every time.
        IperfResult result = await RunAsync();
        for (int again = 0; again < 2 && result.LostPercent >= 5; again++)
        {
            result = await RunAsync();
        }

        Assert.True(result.Datagrams > 1000 && result.LostPercent < 5, result.ToString());
    }

    [SkippableFact]
    public async Task Both_queue_pairs_carry_frames_both_ways()
    {
        QemuGuest guest = await served.GuestAsync();
        await IperfResult.RunAsync(served.Backend.Namespace, GuestAddress, "-P", "8", "-t", "1");
        await IperfResult.RunAsync(served.Backend.Namespace, GuestAddress, "-P", "8", "-t", "1", "-R");

        await AssertEveryQueueWasUsedAsync(guest, served.Card.Queues);
    }

    [SkippableFact]
    public async Task The_guest_can_give_up_a_queue_pair_and_take_it_back()
    {
        QemuGuest guest = await served.GuestAsync();
        foreach (int pairs in new[] { 1, 2 })
        {
            await guest.MustRunAsync($"ethtool -L eth0 combined {pairs}");
            foreach (string[] direction in new string[][] { [], ["-R"] })
            {
                // Eight flows: were the pair that is off still served by the host, half of them would go nowhere.
                IperfResult result = await IperfResult.RunAsync(
                    served.Backend.Namespace, GuestAddress, ["-P", "8", "-t", "1", .. direction]);
                Assert.True(result.BitsPerSecond > LeastBitsPerSecond, result.ToString());
            }
        }
    }

    [SkippableFact]
    public async Task The_offloads_are_on_in_the_guest()
    {
        Backends.SkipForDpdk("testpmd's forwarding drops offloads");
        QemuGuest guest = await served.GuestAsync();
        string features = await guest.MustRunAsync("ethtool -k eth0");
        string[] wanted = ["rx-checksumming", "tx-checksumming", "tcp-segmentation-offload", "tx-tcp6-segmentation"];
        foreach (string feature in wanted)
        {
            Assert.Matches($@"(?m)^\s*{feature}: on", features);
        }
    }

    [SkippableFact]
    public async Task TCP_crosses_the_TAP_in_segments_larger_than_the_MTU()
    {
        Backends.SkipForDpdk("testpmd's forwarding drops offloads");
        await served.GuestAsync();
        IBackend backend = served.Backend;
        InterfaceCounters start = backend.Namespace.CountersOf(backend.Tap)!;
        await IperfResult.RunAsync(backend.Namespace, GuestAddress, "-t", "1", "-R");
        InterfaceCounters middle = backend.Namespace.CountersOf(backend.Tap)!;
        await IperfResult.RunAsync(backend.Namespace, GuestAddress, "-t", "1");
        InterfaceCounters end = backend.Namespace.CountersOf(backend.Tap)!;

        long fromGuest = (middle.ReceivedBytes - start.ReceivedBytes) / (middle.ReceivedFrames - start.ReceivedFrames);
        long toGuest = (end.SentBytes - middle.SentBytes) / (end.SentFrames - middle.SentFrames);
        Assert.True(fromGuest > 2 * served.Mtu, $"from the guest, a frame has {fromGuest} bytes on average");
        Assert.True(toGuest > 2 * served.Mtu, $"to the guest, a frame has {toGuest} bytes on average");
    }

    [SkippableFact]
    public async Task A_ping_of_the_whole_MTU_is_one_frame()
    {
        QemuGuest guest = await served.GuestAsync();
        IBackend backend = served.Backend;
        using PacketSocket host = PacketSocket.Open(backend.Namespace, backend.Tap);

        // The MTU holds the IP header of 20 bytes and the ICMP header of 8.
        await guest.MustRunAsync($"ping -c 1 -W 3 -s {served.Mtu - 28} {HostAddress}");

        byte[]? frame;
        do
        {
            frame = host.Receive(PingTimeout);
        }
        while (frame is not null && frame.Length != served.Mtu + 14);
        Assert.NotNull(frame);
    }

    /// <summary>By the count of the guest's driver.</summary>
    internal static async Task AssertEveryQueueWasUsedAsync(QemuGuest guest, int pairs)
    {
        string statistics = await guest.MustRunAsync("ethtool -S eth0");
        Dictionary<string, long> packets = QueueStatistics().Matches(statistics).ToDictionary(
            match => match.Groups[1].Value, match => long.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture));
        foreach (string queue in Enumerable.Range(0, pairs).SelectMany(pair => new[] { $"rx_queue_{pair}", $"tx_queue_{pair}" }))
        {
            Assert.True(packets.GetValueOrDefault(queue) > 0, $"{queue} carried nothing:\n{statistics}");
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    [GeneratedRegex(@"(?m)^\s*([rt]x_queue_\d)_packets: (\d+)")]
    private static partial Regex QueueStatistics();
}
