using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>What RING_PACKED changes in the requests about rings.</summary>
public sealed class PackedRingRequestsSpec
{
    private const VirtioFeatures Packed = Everything | VirtioFeatures.RingPacked;

    [Theory]
    [InlineData(1u)]
    [InlineData(3u)]
    [InlineData(1000u)]
    public void Any_number_of_descriptors_is_a_size(uint size)
    {
        Conversation session = PackedSession();

        Assert.Equal(0ul, session.Ask(RequestCode.SetVringNum, Ring(0, size)));
        Assert.Equal(1ul, session.Ask(RequestCode.SetVringNum, Ring(0, MaxQueueSize + 1)));
    }

    [Fact]
    public void A_base_has_both_positions_and_both_wrap_counters()
    {
        Conversation session = PackedSession();
        session.Configure(0, 100);
        Assert.Equal(0ul, session.Ask(RequestCode.SetVringBase, Ring(0, 0x0007_8009)));
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        Assert.Equal((0x0007_8009u, 100), (session.Plan(0)!.Base, session.Plan(0)!.Size));
        Assert.Equal(Ring(0, 0x0007_8009).ToArray(), Answer(session, 0));
    }

    [Fact]
    public void A_ring_of_which_no_base_was_said_begins_with_its_wrap_counters_at_1()
    {
        Conversation session = PackedSession();
        session.Send(RequestCode.SetVringNum, Ring(0, 100));
        session.Send(RequestCode.SetVringAddr, Addresses(0).ToBytes());
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        Assert.Equal(0x8000_8000u, session.Plan(0)!.Base);
        Assert.Equal(Ring(1, 0x8000_8000).ToArray(), Answer(session, 1));
    }

    [Fact]
    public void The_format_does_not_change_under_a_running_ring()
    {
        Conversation session = PackedSession();
        session.Configure(0);
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        Assert.Equal(1ul, session.Ask(RequestCode.SetFeatures, U64((ulong)Everything)));
        session.Send(RequestCode.GetVringBase, Ring(0, 0));
        Assert.Equal(0ul, session.Ask(RequestCode.SetFeatures, U64((ulong)Everything)));
    }

    [Fact]
    public void Its_parts_have_the_alignment_and_length_of_packed_rings()
    {
        Conversation session = PackedSession();
        session.Send(RequestCode.SetVringNum, Ring(0, 1000));
        VringAddresses tight = new(0, 0, UserAddress, UserAddress + 16004, UserAddress + 16000, 0);

        Assert.Equal(0ul, session.Ask(RequestCode.SetVringAddr, tight.ToBytes()));
        Assert.Equal(1ul, session.Ask(RequestCode.SetVringAddr, (tight with { Available = tight.Available + 2 }).ToBytes()));
        Assert.Equal(1ul, session.Ask(RequestCode.SetVringAddr, (tight with { Used = tight.Used - 4 }).ToBytes()));
    }

    private static byte[] Answer(Conversation session, int ring)
    {
        session.Send(RequestCode.GetVringBase, Ring(ring, 0));
        return session.Payload()!.Value.ToArray();
    }

    private static Conversation PackedSession()
    {
        Conversation session = Negotiated(Profile, Packed);
        session.SetMemory();
        return session;
    }
}
