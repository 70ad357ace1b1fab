using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>Kicks, calls and errors as messages, between the workers' eventfds and the front-end's sockets.</summary>
public sealed class InbandNotificationsSpec : DeviceTest
{
    private const ProtocolFeatures Protocol =
        TestDevices.ProtocolFeatures | ProtocolFeatures.BackendReq | ProtocolFeatures.InbandNotifications;

    [Fact]
    public async Task A_kick_wakes_the_worker_and_its_call_becomes_a_request()
    {
        (FrontEnd frontEnd, BackendEnd channel) = await BringUpAsync();
        RingPlan plan = Workers.Latest(0)!.Ring(RingSide.Tx)!;
        Assert.Equal(1, Available(plan.Kick!));
        Assert.Equal(0UL, await KickAsync(frontEnd));
        Assert.Equal(2, Available(plan.Kick!));

        EventFd.Signal(plan.Call!);
        EventFd.Signal(plan.Call!);
        VhostUserMessage call = await channel.AnswerAsync(BackendRequestCode.VringCall);
        Assert.Equal(new VringState(1, 0).ToBytes(), call.Payload.ToArray());
        await StatusAsync();
        EventFd.Signal(plan.Call!);
        await channel.AnswerAsync(BackendRequestCode.VringCall);
    }

    [Fact]
    public async Task A_ring_that_is_given_up_is_told_of_by_a_request()
    {
        (_, BackendEnd channel) = await BringUpAsync();
        Workers.Latest(0)!.Break(RingSide.Tx, "for the test");
        VhostUserMessage error = await channel.AnswerAsync(BackendRequestCode.VringErr);
        Assert.Equal(new VringState(1, 0).ToBytes(), error.Payload.ToArray());
    }

    [Fact]
    public async Task Calls_without_a_channel_cost_nothing_and_the_first_channel_hears_of_every_ring()
    {
        FrontEnd frontEnd = await ConnectAsync();
        EventFd.Signal(Workers.Latest(0)!.Ring(RingSide.Tx)!.Call!);
        await frontEnd.SyncAsync();
        BackendEnd channel = await frontEnd.OpenChannelAsync();
        for (uint ring = 0; ring < 4; ring++)
        {
            VhostUserMessage call = await channel.AnswerAsync(BackendRequestCode.VringCall);
            Assert.Equal(new VringState(ring, 0).ToBytes(), call.Payload.ToArray());
        }
    }

    [Fact]
    public async Task A_front_end_that_answers_no_call_loses_the_channel_and_nothing_else()
    {
        (FrontEnd frontEnd, BackendEnd channel) = await BringUpAsync();
        OwnedFd call = Workers.Latest(0)!.Ring(RingSide.Tx)!.Call!;
        for (int i = 0; i < 100; i++)
        {
            EventFd.Signal(call);
            await StatusAsync();
        }

        // The clock starts with the first call that is sent; the answer to a question tells that it runs.
        await channel.NextAsync();
        await StatusAsync();
        Pass(Actors.Device.BackendRequests.Patience);
        await channel.ClosedAsync();
        EventFd.Signal(call);
        Assert.Equal(0UL, await KickAsync(frontEnd));
    }

    /// <summary>How many kicks an eventfd has counted that nobody has taken.</summary>
    private static int Available(OwnedFd fd)
    {
        using OwnedFd duplicate = fd.Duplicate();
        string info = File.ReadAllText($"/proc/self/fdinfo/{duplicate.DangerousGetHandle()}");
        string count = info.Split('\n').Single(line => line.StartsWith("eventfd-count:", StringComparison.Ordinal));
        return Convert.ToInt32(count.Split(':')[1].Trim(), 16);
    }

    private static Task<ulong> KickAsync(FrontEnd frontEnd) =>
        frontEnd.DoAsync(RequestCode.VringKick, new VringState(1, 0).ToBytes());

    private async Task<FrontEnd> ConnectAsync()
    {
        StartDevice(change: device => device with { ProtocolFeatures = Protocol });
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync(protocolFeatures: Protocol);
        Assert.Equal(0UL, await frontEnd.ShareMemoryAsync());
        ulong start = FrontEnd.UserBase;
        frontEnd.Send(RequestCode.SetVringNum, new VringState(1, 64).ToBytes());
        frontEnd.Send(RequestCode.SetVringAddr, new VringAddresses(1, 0, start, start + 0x2000, start + 0x1000, 0).ToBytes());
        Assert.Equal(0UL, await KickAsync(frontEnd));
        return frontEnd;
    }

    private async Task<(FrontEnd FrontEnd, BackendEnd Channel)> BringUpAsync()
    {
        FrontEnd frontEnd = await ConnectAsync();
        BackendEnd channel = await frontEnd.OpenChannelAsync();
        for (int ring = 0; ring < 4; ring++)
        {
            await channel.AnswerAsync(BackendRequestCode.VringCall);
        }

        await frontEnd.SyncAsync();
        return (frontEnd, channel);
    }
}
