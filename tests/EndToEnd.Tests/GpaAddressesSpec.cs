using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>A front-end that says rings by guest-physical addresses, as QEMU does from 11.1 on.</summary>
public sealed class GpaAddressesSpec : BackendFixture
{
    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Every_frame_arrives_both_ways(bool addRegions)
    {
        Backends.SkipForDpdk("it has no GPA_ADDRESSES");
        await StartAsync(new BackendOptions { QueuePairs = 2 });
        VirtioNetOptions options = new() { Pairs = 2, AddRegions = addRegions };
        using VirtioNetDriver driver = Connect(
            options with { ProtocolFeatures = options.ProtocolFeatures | ProtocolFeatures.GpaAddresses });
        using PacketSocket host = OpenHost();

        Assert.True(driver.Client.ProtocolFeatures.HasFlag(ProtocolFeatures.GpaAddresses));
        Assert.NotEqual(driver.Ram.Regions[0].GuestAddress, driver.Ram.Regions[0].UserAddress);
        FrameExchange.Run(driver, host, 200);
    }
}
