using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>The host's interface goes down and up, and the front-end hears of it by a request of the back-end.</summary>
public sealed class LinkSpec : BackendFixture
{
    private const int StatusOffset = 6;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    [SkippableFact]
    public async Task A_guest_s_link_follows_the_TAP_and_its_carrier_and_frames_pass_again_afterwards()
    {
        Backends.SkipForDpdk("net_vhost tells nobody of the TAP's link");
        await StartAsync(new BackendOptions());
        using VirtioNetDriver driver = Connect(
            new VirtioNetOptions { ProtocolFeatures = new VirtioNetOptions().ProtocolFeatures | ProtocolFeatures.BackendReq });
        using BackendInbox inbox = driver.Client.OpenBackendChannel();
        Assert.Equal(1, LinkOf(driver));

        foreach (string[] change in new string[][] { ["down"], ["up"], ["carrier", "off"], ["carrier", "on"] })
        {
            await Network.ConfigureAsync(["link", "set", Backend.Tap, .. change]);
            inbox.Expect(BackendRequestCode.ConfigChangeMsg);
            Assert.Equal(change[^1] is "up" or "on" ? 1 : 0, LinkOf(driver));
        }

        using PacketSocket host = OpenHost();
        FrameExchange.Run(driver, host, 100);
        Assert.Null(inbox.TryReceive(TimeSpan.Zero));
    }

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_interface_that_somebody_deletes_is_made_anew_and_front_ends_can_come_back(bool served)
    {
        Backends.SkipForDpdk("net_tap does not come back");
        await StartAsync(new BackendOptions { QueuePairs = 2 });
        using VirtioNetDriver? driver = served ? Connect(new VirtioNetOptions { Pairs = 2 }) : null;
        int mark = Backend.Process.Mark;

        await Network.ConfigureAsync(["link", "delete", Backend.Tap]);

        await Backend.Process.LineAsync("device net0: its interface was deleted", Patience, mark);
        if (driver is not null)
        {
            await Backend.Process.LineAsync("front-end gone", Patience, mark);
        }

        await Backend.Process.LineAsync("device net0: up", Patience, mark);
        using VirtioNetDriver next = Connect(new VirtioNetOptions { Pairs = 2 });
        using PacketSocket host = OpenHost();
        FrameExchange.Run(next, host, 100);
    }

    private static int LinkOf(VirtioNetDriver driver) => driver.Client.GetConfig(StatusOffset, 1)[0] & 1;
}
