using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>What a card holds is saved by one process and loaded by another.</summary>
public sealed class DeviceStateSpec
{
    private const int MtuOffset = 10;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    [SkippableFact]
    public async Task A_card_goes_on_in_another_process_with_the_MTU_that_it_was_told()
    {
        Require.Root();
        Backends.SkipForDpdk("it has no DEVICE_STATE");
        await using TestNamespace here = await TestNamespace.CreateAsync();
        await using TestNamespace there = await TestNamespace.CreateAsync();
        await using IBackend source = await Backends.StartAsync(here, new BackendOptions());
        await using IBackend target = await Backends.StartAsync(there, new BackendOptions());
        using VirtioNetDriver leaving = Start(source);
        using (PacketSocket host = PacketSocket.Open(here, source.Tap))
        {
            FrameExchange.Run(leaving, host, 50);
        }

        leaving.Client.SetMtu(2000);
        Assert.Equal(
            RequestCode.SetDeviceStateFd, Assert.Throws<RequestRefusedException>(() => leaving.Client.SaveDeviceState()).Request);
        leaving.StopRings();
        byte[] state = leaving.Client.SaveDeviceState();

        using VirtioNetDriver arriving = Start(target);
        arriving.StopRings();
        Assert.Equal(
            RequestCode.CheckDeviceState,
            Assert.Throws<RequestRefusedException>(() => arriving.Client.LoadDeviceState(state.AsSpan(1))).Request);
        Assert.Equal(1500, MtuOf(arriving));
        arriving.Client.LoadDeviceState(state);
        arriving.StartRings();

        Assert.Equal(2000, MtuOf(arriving));
        using PacketSocket otherHost = PacketSocket.Open(there, target.Tap);
        FrameExchange.Run(arriving, otherHost, 50);
    }

    private static VirtioNetDriver Start(IBackend backend)
    {
        VirtioNetOptions options = new();
        return VirtioNetDriver.Start(
            FrontendClient.Connect(backend.Socket, Timeout),
            options with { ProtocolFeatures = options.ProtocolFeatures | ProtocolFeatures.DeviceState });
    }

    private static int MtuOf(VirtioNetDriver driver) => BitConverter.ToUInt16(driver.Client.GetConfig(MtuOffset, 2));
}
