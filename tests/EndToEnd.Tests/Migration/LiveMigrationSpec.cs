using Ringmaster.EndToEnd.Tests.Support;
using Xunit.Abstractions;

namespace Ringmaster.EndToEnd.Tests.Migration;

/// <summary>A guest moves from one machine to another while it talks, and nobody that it talks to notices.</summary>
public sealed class LiveMigrationSpec(ITestOutputHelper output)
{
    private const int Megabyte = 1 << 20;

    /// <summary>Ethernet, and what TCP needs of it at the least.</summary>
    private const int BytesOfSegment = 1448;

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_guest_migrates_there_and_back_under_load_and_no_connection_breaks(bool postcopy)
    {
        TwoHosts.RequirePrograms();
        await using TwoHosts hosts = await TwoHosts.StartAsync();
        await using MigratingGuest guest = await MigratingGuest.BootAsync(hosts, new QemuOptions { Queues = postcopy ? 1 : 2 });
        await using PingSeries ping = await PingSeries.StartAsync(hosts.Left.Namespace);
        using EchoStream stream = await EchoStream.StartAsync(hosts.Left.Namespace, guest.Guest);
        await stream.ProgressAsync(Megabyte);

        foreach (string way in new[] { "there", "back" })
        {
            using Announcement announcement = Announcement.ByGuest(guest.Host.Namespace);
            MigrationReport report = await guest.MigrateAsync(postcopy);
            output.WriteLine($"{way}: {report}");
            Assert.Equal(postcopy, report.PagesWanted > 0);
            await stream.ProgressAsync(Megabyte);
            await ping.AnswersAsync();
            announcement.MustCome();
        }

        await stream.EndAsync(guest.Guest);
        output.WriteLine($"{stream.EchoedBytes} bytes echoed; longest time without an answer to ping: {ping.LongestGap}");
        Assert.Equal(0, ping.Duplicates);
        AssertNoFlood(hosts, stream.EchoedBytes);
        AssertNothingRefused(hosts);
    }

    [SkippableFact]
    public async Task A_guest_that_cannot_announce_itself_is_announced_by_the_back_end()
    {
        TwoHosts.RequirePrograms();
        await using TwoHosts hosts = await TwoHosts.StartAsync();
        await using MigratingGuest guest = await MigratingGuest.BootAsync(
            hosts, new QemuOptions { DeviceProperties = ["guest_announce=off"] });
        using Announcement announcement = Announcement.ByBackend(hosts.Left.Namespace);

        output.WriteLine((await guest.MigrateAsync()).ToString());

        announcement.MustCome();
        await using PingSeries ping = await PingSeries.StartAsync(hosts.Left.Namespace);
        AssertNothingRefused(hosts);
    }

    [SkippableFact]
    public async Task A_guest_with_two_queue_pairs_is_not_taken_by_post_copy_and_goes_on_where_it_is()
    {
        TwoHosts.RequirePrograms();
        await using TwoHosts hosts = await TwoHosts.StartAsync();
        await using MigratingGuest guest = await MigratingGuest.BootAsync(hosts);
        await using PingSeries ping = await PingSeries.StartAsync(hosts.Left.Namespace);

        await Assert.ThrowsAsync<MigrationFailedException>(() => guest.MigrateAsync(postcopy: true));

        await ping.AnswersAsync();
        await hosts.Right.Process.LineAsync("PostcopyAdvise refused", MigratingGuest.Patience);
    }

    /// <summary>
    /// Every segment once more for its acknowledgement, and as much again for what was lost on the way: no loop, no storm.
    /// </summary>
    private static void AssertNoFlood(TwoHosts hosts, long bytes)
    {
        long most = (4 * 2 * (bytes / BytesOfSegment)) + 10_000;
        foreach (IBackend each in new[] { hosts.Left, hosts.Right })
        {
            foreach (string link in new[] { TwoHosts.Cable, each.Tap })
            {
                InterfaceCounters counters = each.Namespace.CountersOf(link)!;
                Assert.InRange(counters.ReceivedFrames + counters.SentFrames, 1, most);
            }
        }
    }

    private static void AssertNothingRefused(TwoHosts hosts)
    {
        foreach (IBackend each in new[] { hosts.Left, hosts.Right })
        {
            Assert.DoesNotContain("refused", each.Process.Output, StringComparison.Ordinal);
            Assert.DoesNotContain("worker failed", each.Process.Output, StringComparison.Ordinal);
            Assert.DoesNotContain("given up", each.Process.Output, StringComparison.Ordinal);
        }
    }
}
