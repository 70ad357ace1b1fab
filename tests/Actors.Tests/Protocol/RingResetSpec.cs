using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>One ring is reset (VIRTIO_F_RING_RESET): GET_VRING_BASE, then all about it anew, while the others run.</summary>
public sealed class RingResetSpec
{
    [Theory]
    [InlineData(VirtioFeatures.RingReset)]
    [InlineData(VirtioFeatures.NotificationData)]
    public void The_feature_is_taken_when_it_is_offered_and_refused_when_it_is_masked(VirtioFeatures feature)
    {
        Assert.Equal(feature, Negotiated().State.Features & feature);

        var masked = new Conversation(Profile with { Features = Profile.Features & ~feature });
        masked.Send(RequestCode.SetProtocolFeatures, U64((ulong)ProtocolFeatures.ReplyAck));
        Assert.Equal(1UL, masked.Ask(RequestCode.SetFeatures, U64((ulong)(VirtioFeatures.Version1 | feature))));
    }

    [Fact]
    public void A_ring_that_was_stopped_is_set_up_anew_with_another_size_elsewhere_and_stays_enabled()
    {
        Conversation session = Running(0, 1, 2, 3);
        RingPlan?[] others = [session.Plan(0), session.Plan(2), session.Plan(3)];
        session.Send(RequestCode.GetVringBase, Ring(1, 0));
        session.State = session.State.WithRingStopped(1, 4711);
        Assert.Null(session.Plan(1));

        VringAddresses elsewhere = Addresses(9) with { Index = 1 };
        OwnedFd kick = NewFd();
        Assert.Equal(0UL, session.Ask(RequestCode.SetVringNum, Ring(1, 64)));
        Assert.Equal(0UL, session.Ask(RequestCode.SetVringBase, Ring(1, 0)));
        Assert.Equal(0UL, session.Ask(RequestCode.SetVringAddr, elsewhere.ToBytes()));
        Assert.Equal(0UL, session.Ask(RequestCode.SetVringKick, Index(1), kick));

        RingPlan plan = session.Plan(1)!;
        Assert.Equal((64, 0u, true), (plan.Size, plan.Base, plan.Enabled));
        Assert.Equal((elsewhere.Descriptor, kick), (plan.DescriptorAddress, plan.Kick));
        Assert.Equal<RingPlan?[]>(others, [session.Plan(0), session.Plan(2), session.Plan(3)]);
    }

    [Fact]
    public void A_ring_may_grow_although_its_new_size_does_not_fit_its_old_addresses()
    {
        Conversation session = WithMemory();
        session.Send(RequestCode.SetVringNum, Ring(1, 16));
        ulong start = UserAddress + 0x1_0000;
        VringAddresses tight = Addresses(1) with { Available = start + 0x100, Used = start + 0x200 };
        session.Send(RequestCode.SetVringAddr, tight.ToBytes());
        session.Send(RequestCode.SetVringKick, Index(1), NewFd());
        session.Send(RequestCode.GetVringBase, Ring(1, 0));

        Assert.Equal(0UL, session.Ask(RequestCode.SetVringNum, Ring(1, 512)));
        Assert.Equal(0UL, session.Ask(RequestCode.SetVringAddr, Addresses(1).ToBytes()));
        Assert.Equal(0UL, session.Ask(RequestCode.SetVringKick, Index(1), NewFd()));
        Assert.Equal(512, session.Plan(1)!.Size);
    }

    [Fact]
    public void A_ring_that_runs_is_not_resized()
    {
        Conversation session = Running(0, 1);
        Assert.Equal(1UL, session.Ask(RequestCode.SetVringNum, Ring(1, 64)));
        Assert.Equal(256, session.Plan(1)!.Size);
    }
}
