using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>SET_DEVICE_STATE_FD and CHECK_DEVICE_STATE, as far as the session decides them.</summary>
public sealed class DeviceStateRequestsSpec
{
    private const ulong Begins = 0x100;
    private const ulong Refused = 0x101;

    [Theory]
    [InlineData(DeviceStatePayload.Save)]
    [InlineData(DeviceStatePayload.Load)]
    public void A_transfer_keeps_its_fd_until_it_is_ended(uint direction)
    {
        Conversation session = Negotiated();
        (OwnedFd channel, OwnedFd other) = End(direction);

        Assert.Equal(Begins, session.Ask(RequestCode.SetDeviceStateFd, Direction(direction), channel));
        Assert.Equal(new DeviceStateTransfer(direction == DeviceStatePayload.Save, channel), session.State.Transfer);
        Assert.False(channel.IsClosed);
        SessionState before = session.State;

        Assert.Equal(0UL, session.Ask(RequestCode.CheckDeviceState));
        Assert.IsType<EndTransfer>(Assert.Single(session.Last.Effects));
        Assert.Null(session.State.Transfer);
        Assert.Equal([channel], before.FdsNotIn(session.State));
        channel.Dispose();
        other.Dispose();
    }

    [Fact]
    public void Another_transfer_takes_the_place_of_one_that_was_not_ended_and_a_reset_touches_neither()
    {
        Conversation session = Negotiated();
        (OwnedFd first, OwnedFd second) = UnixSocket.Pair();
        session.Send(RequestCode.SetDeviceStateFd, Direction(DeviceStatePayload.Save), first);
        SessionState before = session.State;
        session.Send(RequestCode.SetDeviceStateFd, Direction(DeviceStatePayload.Load), second);
        session.Send(RequestCode.ResetDevice);

        Assert.Equal([first], before.FdsNotIn(session.State));
        Assert.Same(second, session.State.Transfer!.Channel);
        first.Dispose();
        second.Dispose();
    }

    [Theory]
    [InlineData(2, 0)]
    [InlineData(0, 1)]
    [InlineData(1, uint.MaxValue)]
    public void Other_directions_and_phases_are_refused(uint direction, uint phase)
    {
        Conversation session = Negotiated();
        (OwnedFd channel, OwnedFd other) = UnixSocket.Pair();
        byte[] payload = new DeviceStatePayload(direction, phase).ToBytes();

        Assert.Equal(Refused, session.Ask(RequestCode.SetDeviceStateFd, payload, channel));

        AssertNothing(session, channel);
        other.Dispose();
    }

    [Fact]
    public void Rings_must_be_stopped()
    {
        Conversation session = Running(3);
        (OwnedFd channel, OwnedFd other) = End(DeviceStatePayload.Save);

        Assert.Equal(Refused, session.Ask(RequestCode.SetDeviceStateFd, Direction(DeviceStatePayload.Save), channel));
        AssertNothing(session, channel);

        session.Send(RequestCode.GetVringBase, Ring(3, 0));
        (OwnedFd again, OwnedFd otherAgain) = End(DeviceStatePayload.Save);
        Assert.Equal(Begins, session.Ask(RequestCode.SetDeviceStateFd, Direction(DeviceStatePayload.Save), again));
        new[] { other, again, otherAgain }.ToList().ForEach(fd => fd.Dispose());
    }

    [Fact]
    public void An_fd_through_which_no_state_can_go_is_refused()
    {
        Conversation session = Negotiated();
        (OwnedFd read, OwnedFd write) = Pipe.Create();
        foreach ((uint direction, OwnedFd fd) in new[]
            {
                (DeviceStatePayload.Save, read), (DeviceStatePayload.Load, write),
                (DeviceStatePayload.Load, NewFd()), (DeviceStatePayload.Load, FrontEnd.TempFile(4096)),
            })
        {
            Assert.Equal(Refused, session.Ask(RequestCode.SetDeviceStateFd, Direction(direction), fd));
            AssertNothing(session, fd);
        }
    }

    [Fact]
    public void Without_a_transfer_there_is_nothing_to_check()
    {
        Conversation session = Negotiated();

        Assert.Equal(1UL, session.Get(RequestCode.CheckDeviceState));
        Assert.NotNull(session.Last.Refusal);
        Assert.Empty(session.Last.Effects);
    }

    [Fact]
    public void Neither_is_legal_without_the_protocol_feature()
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.SetProtocolFeatures, U64((ulong)ProtocolFeatures.ReplyAck));
        (OwnedFd channel, OwnedFd other) = UnixSocket.Pair();

        Assert.Equal(Refused, session.Ask(RequestCode.SetDeviceStateFd, Direction(DeviceStatePayload.Load), channel));
        AssertNothing(session, channel);
        Assert.Equal(1UL, session.Ask(RequestCode.CheckDeviceState));
        other.Dispose();
    }

    private static void AssertNothing(Conversation session, OwnedFd fd)
    {
        Assert.NotNull(session.Last.Refusal);
        Assert.Null(session.State.Transfer);
        Assert.True(fd.IsClosed);
    }

    private static ReadOnlyMemory<byte> Direction(uint direction) =>
        new DeviceStatePayload(direction, DeviceStatePayload.Stopped).ToBytes();

    private static (OwnedFd Theirs, OwnedFd Ours) End(uint direction)
    {
        (OwnedFd read, OwnedFd write) = Pipe.Create();
        return direction == DeviceStatePayload.Save ? (write, read) : (read, write);
    }
}
