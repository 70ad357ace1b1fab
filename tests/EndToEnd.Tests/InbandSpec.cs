using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>Frames with no eventfd between front-end and back-end: kicks, calls and errors are messages.</summary>
public sealed class InbandSpec : BackendFixture
{
    private const ProtocolFeatures Inband = ProtocolFeatures.BackendReq | ProtocolFeatures.InbandNotifications;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    [SkippableTheory]
    [InlineData(VirtioFeatures.None)]
    [InlineData(VirtioFeatures.RingPacked)]
    public async Task Frames_pass_both_ways(VirtioFeatures format)
    {
        using VirtioNetDriver driver = await ConnectAsync(format);
        using PacketSocket host = OpenHost();
        using BackendInbox inbox = driver.Client.OpenBackendChannel();
        driver.StartRings();
        using var bridge = new InbandBridge(driver, inbox);
        FrameExchange.Run(driver, host, 500);
        Assert.NotEqual(0, bridge.Calls);
    }

    [SkippableFact]
    public async Task A_ring_that_is_given_up_is_told_of()
    {
        using VirtioNetDriver driver = await ConnectAsync(VirtioFeatures.None);
        using BackendInbox inbox = driver.Client.OpenBackendChannel();
        driver.StartRings();
        using var bridge = new InbandBridge(driver, inbox);
        NetQueuePair pair = driver.Pairs[0];
        var ring = (SplitDriverRing)pair.Tx;
        ring.WriteAvailableIndex((ushort)(ring.AvailableIndex - 1));
        pair.TxKick.Signal();
        await Eventually.EqualAsync(true, () => pair.TxError.Drain() != 0, Timeout);
        Assert.Equal(0UL, pair.RxError.Drain());
    }

    private async Task<VirtioNetDriver> ConnectAsync(VirtioFeatures format)
    {
        Backends.SkipForDpdk("net_vhost has no in-band notifications");
        await StartAsync(new BackendOptions());
        return Prepare(new VirtioNetOptions
        {
            Inband = true,
            Pairs = 2,
            Features = VirtioNetOptions.ModernFeatures | format,
            ProtocolFeatures = new VirtioNetOptions().ProtocolFeatures | Inband,
        });
    }
}
