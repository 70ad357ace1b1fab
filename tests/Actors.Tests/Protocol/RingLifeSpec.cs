using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>When a ring runs, and with what: DESIGN section 5, as far as the session decides it.</summary>
public sealed class RingLifeSpec
{
    private const VirtioFeatures WithoutExtension = Everything & ~VirtioFeatures.ProtocolFeatures;

    [Fact]
    public void A_ring_starts_at_SET_VRING_KICK_and_waits_for_no_kick()
    {
        Conversation session = WithMemory();
        session.Configure(1);
        Assert.Null(session.Plan(1));

        OwnedFd kick = NewFd();
        session.Send(RequestCode.SetVringKick, Index(1), kick);

        Assert.Same(kick, session.Plan(1)!.Kick);
    }

    [Fact]
    public void A_plan_holds_what_the_front_end_said()
    {
        Conversation session = WithMemory();
        (OwnedFd kick, OwnedFd call, OwnedFd error) = (NewFd(), NewFd(), NewFd());
        session.Send(RequestCode.SetVringNum, Ring(2, 128));
        session.Send(RequestCode.SetVringBase, Ring(2, 77));
        session.Send(RequestCode.SetVringAddr, Addresses(2).ToBytes());
        session.Send(RequestCode.SetVringCall, Index(2), call);
        session.Send(RequestCode.SetVringErr, Index(2), error);
        session.Send(RequestCode.SetVringKick, Index(2), kick);
        session.Enable(2, true);

        var expected = new RingPlan
        {
            Index = 2,
            Size = 128,
            DescriptorAddress = Addresses(2).Descriptor,
            DriverAddress = Addresses(2).Available,
            DeviceAddress = Addresses(2).Used,
            Base = 77,
            Features = Everything,
            Enabled = true,
            Kick = kick,
            Call = call,
            Error = error,
        };
        Assert.Equal(expected, session.Plan(2));
    }

    [Fact]
    public void Without_PROTOCOL_FEATURES_acknowledged_rings_start_enabled()
    {
        var session = new Conversation();
        session.Send(RequestCode.SetFeatures, U64((ulong)WithoutExtension));
        session.SetMemory();
        session.Configure(0);
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        Assert.True(session.Plan(0)!.Enabled);
    }

    [Fact]
    public void With_PROTOCOL_FEATURES_acknowledged_rings_start_disabled()
    {
        Conversation session = WithMemory();
        session.Configure(0);
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        Assert.False(session.Plan(0)!.Enabled);
    }

    [Fact]
    public void A_disabled_ring_is_not_a_stopped_one()
    {
        Conversation session = Running(1);
        session.Enable(1, false);

        Assert.False(session.Plan(1)!.Enabled);
    }

    [Fact]
    public void A_ring_enabled_before_it_starts_starts_enabled()
    {
        Conversation session = WithMemory();
        session.Enable(0, true);
        session.Configure(0);
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        Assert.True(session.Plan(0)!.Enabled);
    }

    [Fact]
    public void SET_FEATURES_while_rings_run_changes_their_features_and_nothing_else()
    {
        Conversation session = Running(0, 1);
        RingPlan before = session.Plan(0)!;
        VirtioFeatures other = Everything & ~VirtioFeatures.GuestTso4;

        Assert.Equal(0ul, session.Ask(RequestCode.SetFeatures, U64((ulong)other)));

        Assert.Equal(before with { Features = other }, session.Plan(0));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void SET_FEATURES_that_turns_PROTOCOL_FEATURES_over_leaves_running_rings_on(bool acknowledgedFirst)
    {
        var session = new Conversation();
        session.Send(RequestCode.SetFeatures, U64((ulong)(acknowledgedFirst ? Everything : WithoutExtension)));
        session.SetMemory();
        session.Configure(0);
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        session.Send(RequestCode.SetFeatures, U64((ulong)(acknowledgedFirst ? WithoutExtension : Everything)));

        Assert.Equal(!acknowledgedFirst, session.Plan(0)!.Enabled);
    }

    [Fact]
    public void SET_FEATURES_after_the_kick_fd_still_decides_for_a_ring_that_is_not_configured()
    {
        var session = new Conversation();
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());
        session.Send(RequestCode.SetFeatures, U64((ulong)Everything));
        session.SetMemory();
        session.Configure(0);

        Assert.False(session.Plan(0)!.Enabled);
    }

    [Fact]
    public void SET_VRING_ADDR_while_the_ring_runs_moves_no_index()
    {
        Conversation session = Running(0);
        session.State = session.State.WithRingBase(0, 123);
        RingPlan before = session.Plan(0)!;

        Assert.Equal(0ul, session.Ask(RequestCode.SetVringAddr, Addresses(0).ToBytes()));
        Assert.Equal(before, session.Plan(0));

        VringAddresses elsewhere = Addresses(3) with { Index = 0 };
        Assert.Equal(0ul, session.Ask(RequestCode.SetVringAddr, elsewhere.ToBytes()));
        Assert.Equal((123u, elsewhere.Used), (session.Plan(0)!.Base, session.Plan(0)!.DeviceAddress));
    }

    [Fact]
    public void A_kick_fd_before_anything_else_starts_the_ring_once_it_is_configured()
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());
        Assert.Equal("started, but it has no size yet", session.State.ObstacleOf(0));
        session.Send(RequestCode.SetVringNum, Ring(0, 256));
        Assert.Equal("started, but it has no addresses yet", session.State.ObstacleOf(0));
        session.Send(RequestCode.SetVringAddr, Addresses(0).ToBytes());
        Assert.Contains("not in guest memory", session.State.ObstacleOf(0));
        Assert.Null(session.Plan(0));

        session.SetMemory();

        Assert.NotNull(session.Plan(0));
    }

    [Fact]
    public void A_kick_without_fd_makes_a_ring_that_is_polled()
    {
        Conversation session = WithMemory();
        session.Configure(0);
        session.Send(RequestCode.SetVringKick, Index(0, noFd: true));

        Assert.Null(session.Plan(0)!.Kick);
    }

    [Fact]
    public void A_kick_fd_replaced_while_the_ring_runs_is_a_change_of_plan()
    {
        Conversation session = Running(0);
        RingPlan before = session.Plan(0)!;
        SessionState old = session.State;
        OwnedFd kick = NewFd();

        session.Send(RequestCode.SetVringKick, Index(0), kick);

        Assert.Equal(before with { Kick = kick }, session.Plan(0));
        Assert.Equal([before.Kick!], old.FdsNotIn(session.State));
    }

    [Fact]
    public void GET_VRING_BASE_stops_the_ring_and_forgets_the_kick_but_not_the_call()
    {
        Conversation session = Running(0, 1);
        OwnedFd call = NewFd();
        session.Send(RequestCode.SetVringCall, Index(0), call);
        OwnedFd kick = session.Plan(0)!.Kick!;
        SessionState old = session.State;

        session.Send(RequestCode.GetVringBase, Ring(0, 0));

        Assert.Null(session.Plan(0));
        Assert.NotNull(session.Plan(1));
        Assert.Same(call, session.State.Rings[0].Call);
        Assert.Equal([kick], old.FdsNotIn(session.State));
    }

    [Fact]
    public void GET_VRING_BASE_answers_with_what_the_worker_reports()
    {
        Conversation session = Running(3);
        session.Send(RequestCode.GetVringBase, Ring(3, 0));

        SessionState told = session.State.WithRingBase(3, 4711);

        Assert.Equal(Ring(3, 4711).ToArray(), session.Last.Reply.ToPayload(told)!.Value.ToArray());
    }

    [Fact]
    public void A_stopped_ring_goes_on_where_the_worker_left_it()
    {
        Conversation session = Running(1);
        session.Send(RequestCode.GetVringBase, Ring(1, 0));
        session.State = session.State.WithRingBase(1, 99);
        session.Send(RequestCode.SetVringKick, Index(1), NewFd());

        Assert.Equal((99u, true), (session.Plan(1)!.Base, session.Plan(1)!.Enabled));
    }

    [Fact]
    public void The_base_of_a_reconnecting_front_end_reaches_the_plan_as_it_is()
    {
        Conversation session = WithMemory();
        session.Configure(0);
        session.Send(RequestCode.SetVringBase, Ring(0, 65535));
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        Assert.Equal(65535u, session.Plan(0)!.Base);
    }

    [Fact]
    public void A_ring_waits_while_its_memory_is_taken_out_and_goes_on_when_it_is_back()
    {
        Conversation session = Running(0);
        session.Send(RequestCode.RemMemReg, new SingleMemoryRegion(Region).ToBytes());
        Assert.Null(session.Plan(0));

        session.Send(RequestCode.AddMemReg, new SingleMemoryRegion(Region with { Size = 2 * RegionSize }).ToBytes(), NewFd());

        Assert.NotNull(session.Plan(0));
    }

    [Fact]
    public void A_ring_may_lie_across_two_regions_that_are_neighbours()
    {
        Conversation session = Running(0);
        var low = new MemoryRegionLayout(0, 0x6100, UserAddress, 0);
        session.SetMemory(low, new MemoryRegionLayout(0x6100, RegionSize, UserAddress + 0x6100, 0));
        Assert.NotNull(session.Plan(0));

        session.SetMemory(low, new MemoryRegionLayout(0x6100, RegionSize, UserAddress + 0x6200, 0));

        Assert.Null(session.Plan(0));
    }
}
