using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>The three ways to take a device back: RESET_OWNER, SET_STATUS 0 and RESET_DEVICE.</summary>
public sealed class ResetSpec
{
    [Fact]
    public void RESET_OWNER_disables_rings_and_they_run_on()
    {
        Conversation session = Running(0, 1);
        session.Send(RequestCode.ResetOwner);
        Assert.Equal((false, false), (session.Plan(0)!.Enabled, session.Plan(1)!.Enabled));

        session.Enable(0, true);

        Assert.True(session.Plan(0)!.Enabled);
    }

    [Fact]
    public void RESET_OWNER_leaves_rings_on_that_nobody_could_enable_again()
    {
        var session = new Conversation();
        session.Send(RequestCode.SetFeatures, U64((ulong)(Everything & ~VirtioFeatures.ProtocolFeatures)));
        session.SetMemory();
        session.Configure(0);
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        session.Send(RequestCode.ResetOwner);

        Assert.True(session.Plan(0)!.Enabled);
    }

    [Theory]
    [InlineData(RequestCode.SetStatus)]
    [InlineData(RequestCode.ResetDevice)]
    public void A_reset_stops_all_rings_and_keeps_what_the_front_end_will_not_say_again(RequestCode reset)
    {
        Conversation session = Running(0, 1, 2, 3);
        OwnedFd call = NewFd();
        session.Send(RequestCode.SetVringCall, Index(0), call);
        session.State = session.State.WithNeedsReset();

        session.Send(reset, reset == RequestCode.SetStatus ? U64(0) : default);

        Assert.All(Enumerable.Range(0, 4), ring => Assert.Null(session.Plan(ring)));
        Assert.Equal(VirtioFeatures.None, session.State.Features);
        Assert.Equal([call], session.State.Fds);
        Assert.Equal(Region, Assert.Single(session.State.Regions));
        Assert.Equal(EveryProtocolFeature, session.State.ProtocolFeatures);
        Assert.Equal(0ul, session.Get(RequestCode.GetStatus));
    }

    [Fact]
    public void After_a_reset_GET_VRING_BASE_tells_where_a_ring_was_and_the_ring_begins_anew()
    {
        Conversation session = Running(0, 1);
        session.State = session.State.WithRingStopped(0, 17);
        session.Send(RequestCode.SetStatus, U64(0));
        session.State = session.State.WithRingStopped(1, 42);

        Assert.Equal((17u, 42u), (session.State.LastBaseOf(0), session.State.LastBaseOf(1)));
        Assert.Equal((0u, 0u), (session.State.BaseOf(0), session.State.BaseOf(1)));
        session.Send(RequestCode.SetVringBase, Ring(1, 7));
        Assert.Equal(7u, session.State.LastBaseOf(1));
    }

    [Fact]
    public void After_a_reset_the_device_can_be_brought_up_again()
    {
        Conversation session = Running(0);
        session.Send(RequestCode.ResetDevice);
        session.Send(RequestCode.SetFeatures, U64((ulong)Everything));
        session.Configure(0, 64);
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());
        session.Enable(0, true);

        Assert.Equal((64, true), (session.Plan(0)!.Size, session.Plan(0)!.Enabled));
    }
}
