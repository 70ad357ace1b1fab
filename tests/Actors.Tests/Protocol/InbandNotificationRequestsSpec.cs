using Ringmaster.Actors.Protocol;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>Kicks, calls and errors as messages: when a ring uses them, and what VRING_KICK does.</summary>
public sealed class InbandNotificationRequestsSpec
{
    private const ProtocolFeatures Needed = ProtocolFeatures.BackendReq | ProtocolFeatures.ReplyAck;

    [Theory]
    [InlineData(ProtocolFeatures.None)]
    [InlineData(ProtocolFeatures.ReplyAck)]
    [InlineData(ProtocolFeatures.BackendReq)]
    public void They_are_refused_without_BACKEND_REQ_and_REPLY_ACK(ProtocolFeatures others)
    {
        var conversation = new Conversation();
        conversation.Send(RequestCode.SetProtocolFeatures, Bits(others | ProtocolFeatures.InbandNotifications));
        Assert.NotNull(conversation.Last.Refusal);
        Assert.Equal(ProtocolFeatures.None, conversation.State.ProtocolFeatures);
        conversation.Send(RequestCode.SetProtocolFeatures, Bits(Needed | ProtocolFeatures.InbandNotifications));
        Assert.Null(conversation.Last.Refusal);
    }

    [Theory]
    [InlineData(ProtocolFeatures.ReplyAck)]
    [InlineData(ProtocolFeatures.BackendReq)]
    public void They_are_not_offered_where_one_of_these_is_masked(ProtocolFeatures masked)
    {
        DeviceProfile profile = Conversation.Profile with
        {
            ProtocolFeatures = VhostUserSession.SupportedProtocolFeatures & ~masked,
        };
        Assert.False(profile.OfferedProtocolFeatures.HasFlag(ProtocolFeatures.InbandNotifications));
    }

    [Fact]
    public void VRING_KICK_starts_a_ring_and_kicks_it()
    {
        Conversation conversation = Configured();
        Assert.Null(conversation.Plan(1));
        Assert.Equal(0UL, conversation.Ask(RequestCode.VringKick, Conversation.Ring(1, 0)));
        Assert.NotNull(conversation.Plan(1));
        Assert.Equal([new KickRing(1)], conversation.Last.Effects.ToArray());
        Assert.True(conversation.State.KicksByMessage(1));
        Assert.True(conversation.State.CallsByMessage(1));
        Assert.True(conversation.State.ErrorsByMessage(1));
    }

    [Fact]
    public void An_fd_is_preferred_to_messages()
    {
        Conversation conversation = Configured();
        conversation.Send(RequestCode.SetVringKick, Conversation.Index(1), Conversation.NewFd());
        conversation.Send(RequestCode.SetVringCall, Conversation.Index(1), Conversation.NewFd());
        conversation.Send(RequestCode.SetVringErr, Conversation.Index(1), Conversation.NewFd());
        Assert.False(conversation.State.KicksByMessage(1));
        Assert.False(conversation.State.CallsByMessage(1));
        Assert.False(conversation.State.ErrorsByMessage(1));
        Assert.Equal(0UL, conversation.Ask(RequestCode.VringKick, Conversation.Ring(1, 0)));
        Assert.Empty(conversation.Last.Effects);
    }

    [Fact]
    public void The_word_that_there_is_no_fd_means_polling_for_kicks_and_calls_but_not_for_errors()
    {
        Conversation conversation = Configured();
        conversation.Send(RequestCode.SetVringKick, Conversation.Index(1, noFd: true));
        conversation.Send(RequestCode.SetVringCall, Conversation.Index(1, noFd: true));
        conversation.Send(RequestCode.SetVringErr, Conversation.Index(1, noFd: true));
        Assert.False(conversation.State.KicksByMessage(1));
        Assert.False(conversation.State.CallsByMessage(1));
        Assert.True(conversation.State.ErrorsByMessage(1));
    }

    [Fact]
    public void A_ring_that_was_stopped_is_kicked_by_messages_again()
    {
        Conversation conversation = Configured();
        conversation.Send(RequestCode.SetVringKick, Conversation.Index(1), Conversation.NewFd());
        conversation.Send(RequestCode.GetVringBase, Conversation.Ring(1, 0));
        Assert.True(conversation.State.KicksByMessage(1));
        Assert.Null(conversation.Plan(1));
    }

    [Fact]
    public void VRING_KICK_is_refused_when_it_makes_no_sense()
    {
        Conversation conversation = Configured();
        Assert.Equal(1UL, conversation.Ask(RequestCode.VringKick, Conversation.Ring(99, 0)));
        Assert.Equal(1UL, conversation.Ask(RequestCode.VringKick, Conversation.Ring(1, 1)));
        Assert.Equal(1UL, conversation.Ask(RequestCode.VringKick, Conversation.U64(0), Conversation.NewFd()));
        conversation.Send(RequestCode.SetProtocolFeatures, Bits(Needed));
        Assert.Equal(1UL, conversation.Ask(RequestCode.VringKick, Conversation.Ring(1, 0)));
    }

    private static Conversation Configured()
    {
        Conversation conversation = Conversation.WithMemory();
        conversation.Configure(1);
        return conversation;
    }

    private static ReadOnlyMemory<byte> Bits(ProtocolFeatures features) => Conversation.U64((ulong)features);
}
