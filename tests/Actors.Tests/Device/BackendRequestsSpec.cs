using Akka.Actor;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>Requests by the back-end: what is told, and what a front-end may do with the channel.</summary>
public sealed class BackendRequestsSpec : DeviceTest
{
    private const ProtocolFeatures Protocol =
        TestDevices.ProtocolFeatures | ProtocolFeatures.Config | ProtocolFeatures.BackendReq;

    [Fact]
    public async Task A_link_that_goes_down_and_up_is_told_of_and_stands_in_the_configuration_space()
    {
        (FrontEnd frontEnd, BackendEnd channel) = await BringUpAsync();

        await SetHostLinkAsync(false);
        await channel.AnswerAsync(BackendRequestCode.ConfigChangeMsg);
        Assert.Equal(0, await ConfigAsync(frontEnd, 6));

        await SetHostLinkAsync(true);
        await channel.AnswerAsync(BackendRequestCode.ConfigChangeMsg);
        Assert.Equal(VirtioNetConfig.LinkUp, await ConfigAsync(frontEnd, 6));
    }

    [Fact]
    public async Task A_link_can_be_held_down_whatever_the_host_s_side_is_like()
    {
        (FrontEnd frontEnd, BackendEnd channel) = await BringUpAsync();
        Assert.Equal(new LinkSet("net0", false), await Device.Ask<LinkSet>(new SetLink(false)));
        await channel.AnswerAsync(BackendRequestCode.ConfigChangeMsg);
        Assert.Equal(0, await ConfigAsync(frontEnd, 6));

        Assert.Equal(new LinkSet("net0", true), await Device.Ask<LinkSet>(new SetLink(true)));
        await channel.AnswerAsync(BackendRequestCode.ConfigChangeMsg);
        await SetHostLinkAsync(false);
        await channel.AnswerAsync(BackendRequestCode.ConfigChangeMsg);
        Assert.Equal(new LinkSet("net0", false), await Device.Ask<LinkSet>(new SetLink(true)));
    }

    [Fact]
    public void A_channel_that_cannot_be_watched_is_closed()
    {
        OwnedFd file = FrontEnd.TempFile(1);
        var context = new BackendRequests.Context("net0", TestActor, null!, Loop, Sys.Log, () => false, () => { });

        Assert.Throws<LinuxException>(() => new BackendRequests(file, context));

        Assert.True(file.IsClosed);
    }

    [Fact]
    public async Task A_link_that_is_down_already_is_so_for_the_next_front_end()
    {
        StartDevice(change: device => device with { ProtocolFeatures = Protocol });
        await SetHostLinkAsync(false);
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync(protocolFeatures: Protocol);
        Assert.Equal(0, await ConfigAsync(frontEnd, 6));
    }

    [Fact]
    public async Task Another_MTU_is_told_of_whoever_said_it()
    {
        (FrontEnd frontEnd, BackendEnd channel) = await BringUpAsync();
        Assert.Equal(0UL, await frontEnd.DoAsync(RequestCode.NetSetMtu, FrontEnd.U64(9000)));
        await channel.AnswerAsync(BackendRequestCode.ConfigChangeMsg);
        Assert.Equal(9000, await ConfigAsync(frontEnd, 10));

        Device.Tell(new ChangeMtu(2000));
        Parent.ExpectMsg<DeviceAdjusted>(adjusted => Assert.Null(adjusted.Error));
        await channel.AnswerAsync(BackendRequestCode.ConfigChangeMsg);
        Assert.Equal(2000, await ConfigAsync(frontEnd, 10));
        Assert.Equal(2000, Host.Mtu);
        AwaitAssert(() => Assert.Equal(2000, Host.Latest.Mtu));
    }

    [Fact]
    public async Task An_MTU_that_the_host_refuses_changes_nothing()
    {
        (FrontEnd frontEnd, _) = await BringUpAsync();
        int before = await ConfigAsync(frontEnd, 10);
        Host.RefusesChanges = "EINVAL";
        Device.Tell(new ChangeMtu(2000));
        Parent.ExpectMsg<DeviceAdjusted>(adjusted => Assert.Equal("EINVAL", adjusted.Error));
        Assert.Equal(before, await ConfigAsync(frontEnd, 10));
    }

    [Fact]
    public async Task A_change_before_the_channel_is_told_of_when_the_channel_comes()
    {
        FrontEnd frontEnd = await ConnectAsync(Protocol);
        await SetHostLinkAsync(false);
        BackendEnd channel = await frontEnd.OpenChannelAsync();
        await channel.AnswerAsync(BackendRequestCode.ConfigChangeMsg);
    }

    [Fact]
    public async Task A_front_end_that_does_not_read_the_configuration_space_is_told_nothing()
    {
        FrontEnd frontEnd = await ConnectAsync(Protocol & ~ProtocolFeatures.Config);
        BackendEnd channel = await frontEnd.OpenChannelAsync();
        await SetHostLinkAsync(false);
        await frontEnd.SyncAsync();

        // CONFIG acknowledged later: only now it is told, and this is the first thing that comes.
        frontEnd.Send(RequestCode.SetProtocolFeatures, FrontEnd.U64((ulong)Protocol));
        await channel.AnswerAsync(BackendRequestCode.ConfigChangeMsg);
    }

    [Fact]
    public async Task An_answer_other_than_0_changes_nothing()
    {
        (_, BackendEnd channel) = await BringUpAsync();
        await SetHostLinkAsync(false);
        await channel.AnswerAsync(BackendRequestCode.ConfigChangeMsg, answer: 1);
        await SetHostLinkAsync(true);
        await channel.AnswerAsync(BackendRequestCode.ConfigChangeMsg, answer: 1);
    }

    [Fact]
    public async Task A_channel_whose_answer_is_overdue_is_dropped_and_the_session_lives()
    {
        (FrontEnd frontEnd, BackendEnd channel) = await BringUpAsync();
        await SetHostLinkAsync(false);
        await channel.NextAsync();
        Pass(BackendRequests.Patience);
        await channel.ClosedAsync();

        await SetHostLinkAsync(true);
        Assert.Equal(VirtioNetConfig.LinkUp, await ConfigAsync(frontEnd, 6));
        BackendEnd next = await frontEnd.OpenChannelAsync();
        await SetHostLinkAsync(false);
        await next.AnswerAsync(BackendRequestCode.ConfigChangeMsg);
    }

    [Fact]
    public async Task An_answer_in_time_is_all_that_is_waited_for()
    {
        (FrontEnd frontEnd, BackendEnd channel) = await BringUpAsync();
        await SetHostLinkAsync(false);
        await channel.AnswerAsync(BackendRequestCode.ConfigChangeMsg);
        await frontEnd.SyncAsync();
        await StatusAsync();
        Pass(2 * BackendRequests.Patience);
        await SetHostLinkAsync(true);
        await channel.AnswerAsync(BackendRequestCode.ConfigChangeMsg);
    }

    private static readonly Dictionary<string, Action<BackendEnd>> Garbage = new()
    {
        ["an answer to another request"] = channel => channel.Answer(BackendRequestCode.VringCall, FrontEnd.U64(0)),
        ["an answer of another size"] = channel => channel.Answer(BackendRequestCode.ConfigChangeMsg, [0, 0, 0, 0]),
        ["an answer without a number"] = channel => channel.Answer(BackendRequestCode.ConfigChangeMsg, []),
        ["a request"] = channel => channel.Request(1),
        ["a header of another version"] = channel => channel.SendRaw([2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]),
        ["a payload without an end"] = channel => channel.SendRaw([2, 0, 0, 0, 5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
    };

    public static TheoryData<string> GarbageNames => [.. Garbage.Keys];

    [Theory]
    [MemberData(nameof(GarbageNames))]
    public async Task A_channel_over_which_something_else_comes_is_dropped_and_the_session_lives(string what)
    {
        (FrontEnd frontEnd, BackendEnd channel) = await BringUpAsync();
        await SetHostLinkAsync(false);
        await channel.NextAsync();
        Garbage[what](channel);
        await channel.ClosedAsync();
        await frontEnd.SyncAsync();
    }

    [Fact]
    public async Task An_answer_that_nobody_waits_for_is_something_else()
    {
        (FrontEnd frontEnd, BackendEnd channel) = await BringUpAsync();
        channel.Answer(BackendRequestCode.ConfigChangeMsg, FrontEnd.U64(0));
        await channel.ClosedAsync();
        await frontEnd.SyncAsync();
    }

    [Fact]
    public async Task A_channel_that_the_front_end_closes_is_dropped_and_the_session_lives()
    {
        (FrontEnd frontEnd, BackendEnd channel) = await BringUpAsync();
        channel.Dispose();
        await SetHostLinkAsync(false);
        await SetHostLinkAsync(true);
        await frontEnd.SyncAsync();
    }

    [Fact]
    public async Task A_front_end_that_reads_nothing_blocks_nobody_and_hears_of_the_last_change()
    {
        FrontEnd frontEnd = await ConnectAsync(Protocol & ~ProtocolFeatures.ReplyAck);
        BackendEnd channel = await frontEnd.OpenChannelAsync();
        int fitting = BackendEnd.RequestsThatFit();
        int changes = (fitting + 101) | 1; // Odd: the last one is down, as the first one is.
        for (int change = 0; change < changes; change++)
        {
            Device.Tell(new SetLink(change % 2 == 1), TestActor);
            ExpectMsg<LinkSet>();
        }

        // What did not fit into the socket became one request.
        for (int told = 0; told < fitting + 1; told++)
        {
            Assert.False((await channel.NextAsync()).NeedReply);
        }

        Assert.True((await Device.Ask<LinkSet>(new SetLink(true))).Up);
        await channel.NextAsync();
        Assert.Equal(VirtioNetConfig.LinkUp, await ConfigAsync(frontEnd, 6));
    }

    [Fact]
    public async Task The_channel_goes_with_the_front_end()
    {
        (FrontEnd frontEnd, BackendEnd channel) = await BringUpAsync();
        frontEnd.Disconnect();
        await channel.ClosedAsync();
        await StatusIsAsync(status => Assert.Equal(DevicePhase.Listening, status.Phase));
        await SetHostLinkAsync(false);
    }

    private async Task<(FrontEnd FrontEnd, BackendEnd Channel)> BringUpAsync()
    {
        FrontEnd frontEnd = await ConnectAsync(Protocol);
        return (frontEnd, await frontEnd.OpenChannelAsync());
    }

    private async Task<FrontEnd> ConnectAsync(ProtocolFeatures protocolFeatures)
    {
        StartDevice(change: device => device with { ProtocolFeatures = Protocol });
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync(protocolFeatures: protocolFeatures);
        return frontEnd;
    }

    private Task SetHostLinkAsync(bool up)
    {
        Host.LinkUp = up;
        Host.LinkChanged();
        return StatusIsAsync(status => Assert.Equal(up, status.LinkUp));
    }

    private static async Task<int> ConfigAsync(FrontEnd frontEnd, uint offset)
    {
        byte[] reply = await frontEnd.AskAsync(RequestCode.GetConfig, new ConfigPayload(offset, 2, 0, new byte[2]).ToBytes());
        return BitConverter.ToUInt16(reply, ConfigPayload.HeaderSize);
    }
}
