using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>What a card holds is saved by one process and loaded by another.</summary>
public sealed class DeviceStateSpec
{
    private const int MtuOffset = 10;
    private const int Frames = 50;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    [SkippableFact]
    public async Task A_card_goes_on_in_another_process_with_its_MTU_and_its_counters()
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
            FrameExchange.Run(leaving, host, Frames);
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
        FrameExchange.Run(arriving, otherHost, Frames);
        arriving.StopRings();
        AssertWentOn(SavedCounters.Of(state), SavedCounters.Of(arriving.Client.SaveDeviceState()));
    }

    /// <summary>The same frames were sent twice, once in each process; the host's kernel may have sent some of its own.</summary>
    private static void AssertWentOn(IReadOnlyDictionary<string, long> before, IReadOnlyDictionary<string, long> after)
    {
        Assert.Equal((Frames, 2 * Frames), (before["tx-frames"], after["tx-frames"]));
        Assert.Equal(2 * before["tx-bytes"], after["tx-bytes"]);
        Assert.InRange(before["rx-frames"], Frames, long.MaxValue);
        Assert.InRange(after["rx-frames"], before["rx-frames"] + Frames, long.MaxValue);
        Assert.InRange(after["rx-bytes"], before["rx-bytes"] + before["tx-bytes"], long.MaxValue);
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
