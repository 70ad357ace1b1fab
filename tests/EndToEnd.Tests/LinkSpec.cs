using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>The host's interface goes down and up, and the front-end hears of it by a request of the back-end.</summary>
public sealed class LinkSpec : IAsyncLifetime
{
    private const int StatusOffset = 6;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private TestNamespace? _network;
    private IBackend? _backend;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        if (_backend is not null)
        {
            await _backend.DisposeAsync();
        }

        if (_network is not null)
        {
            await _network.DisposeAsync();
        }
    }

    [SkippableFact]
    public async Task A_guest_s_link_follows_the_TAP_and_its_carrier_and_frames_pass_again_afterwards()
    {
        Require.Root();
        Backends.SkipForDpdk("net_vhost tells nobody of the TAP's link");
        _network = await TestNamespace.CreateAsync();
        _backend = await Backends.StartAsync(_network, new BackendOptions());
        using VirtioNetDriver driver = VirtioNetDriver.Start(
            FrontendClient.Connect(_backend.Socket, Timeout),
            new VirtioNetOptions { ProtocolFeatures = new VirtioNetOptions().ProtocolFeatures | ProtocolFeatures.BackendReq });
        using BackendInbox inbox = driver.Client.OpenBackendChannel();
        Assert.Equal(1, LinkOf(driver));

        foreach (string[] change in new string[][] { ["down"], ["up"], ["carrier", "off"], ["carrier", "on"] })
        {
            await _network.ConfigureAsync(["link", "set", _backend.Tap, .. change]);
            inbox.Expect(BackendRequestCode.ConfigChangeMsg);
            Assert.Equal(change[^1] is "up" or "on" ? 1 : 0, LinkOf(driver));
        }

        using PacketSocket host = PacketSocket.Open(_network, _backend.Tap);
        FrameExchange.Run(driver, host, 100);
        Assert.Null(inbox.TryReceive(TimeSpan.Zero));
    }

    private static int LinkOf(VirtioNetDriver driver) => driver.Client.GetConfig(StatusOffset, 1)[0] & 1;
}
