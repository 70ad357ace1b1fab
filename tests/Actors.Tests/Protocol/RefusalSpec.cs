using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>The one rule of refusal: who waits is told, the session lives, every fd has an end.</summary>
public sealed class RefusalSpec
{
    private const int HighestNumber = 64;

    public static TheoryData<uint> ServedNumbers => [.. RequestTable.Rows.Select(row => (uint)row.Code)];

    public static TheoryData<uint> OtherNumbers =>
    [
        .. Enumerable.Range(0, HighestNumber).Select(n => (uint)n).Where(n => RequestTable.Find(n) is null),
        0x8000_0000,
        0xffff_ffff,
    ];

    [Theory]
    [MemberData(nameof(OtherNumbers))]
    public void A_number_that_is_not_served_is_refused_and_the_session_lives(uint number)
    {
        Conversation session = Running(0, 1);
        string before = StateText.Of(session.State);
        OwnedFd[] fds = [NewFd(), NewFd()];

        Assert.Equal(1ul, session.Ask((RequestCode)number, new byte[40], fds));

        Assert.Equal(before, StateText.Of(session.State));
        Assert.All(fds, fd => Assert.True(fd.IsClosed));
        Assert.Equal(0ul, session.Ask(RequestCode.SetOwner));
    }

    [Theory]
    [MemberData(nameof(OtherNumbers))]
    public void A_number_that_is_not_served_is_not_answered_when_nobody_waits(uint number)
    {
        Conversation session = Running(0);
        session.Send((RequestCode)number);

        Assert.Equal(Reply.None, session.Last.Reply);
        Assert.NotNull(session.Last.Refusal);
    }

    [Theory]
    [MemberData(nameof(ServedNumbers))]
    public void A_payload_of_the_wrong_size_is_refused_and_who_waits_does_not_wait_for_ever(uint number)
    {
        Conversation session = Running(0);
        string before = StateText.Of(session.State);
        RequestRow row = RequestTable.Find(number)!;
        OwnedFd[] fds = [.. Enumerable.Range(0, row.Fds.Min).Select(_ => NewFd())];

        session.Send(row.Code, new byte[row.Payload.Max + 1], fds);

        Assert.NotNull(session.Last.Refusal);
        Assert.Equal(row.HasReply, session.Payload() is not null || session.Last.Reply.EndsSession);
        Assert.Equal(before, StateText.Of(session.State));
        Assert.All(fds, fd => Assert.True(fd.IsClosed));
    }

    [Theory]
    [MemberData(nameof(ServedNumbers))]
    public void Surplus_fds_are_refused_and_closed(uint number)
    {
        Conversation session = Running(0);
        string before = StateText.Of(session.State);
        RequestRow row = RequestTable.Find(number)!;
        OwnedFd[] fds = [.. Enumerable.Range(0, row.Fds.Max + 1).Select(_ => NewFd())];

        session.Send(row.Code, new byte[row.Payload.Min], fds);

        Assert.NotNull(session.Last.Refusal);
        Assert.Equal(before, StateText.Of(session.State));
        Assert.All(fds, fd => Assert.True(fd.IsClosed));
    }

    [Theory]
    [MemberData(nameof(ServedNumbers))]
    public void What_needs_a_protocol_feature_is_refused_without_it(uint number)
    {
        var session = new Conversation(Profile with { ProtocolFeatures = ProtocolFeatures.ReplyAck });
        session.Send(RequestCode.SetProtocolFeatures, U64((ulong)ProtocolFeatures.ReplyAck));
        RequestRow row = RequestTable.Find(number)!;
        OwnedFd[] fds = [.. Enumerable.Range(0, row.Fds.Min).Select(_ => NewFd())];

        session.Send(row.Code, new byte[row.Payload.Min], fds);

        bool gated = row.Gate is Gate.Offered or Gate.Acknowledged;
        Assert.Equal(gated, session.Last.Refusal?.Contains(row.Feature.ToString(), StringComparison.Ordinal) ?? false);
    }

    [Theory]
    [MemberData(nameof(ServedNumbers))]
    public void What_needs_a_protocol_feature_acknowledged_is_refused_when_it_is_only_offered(uint number)
    {
        RequestRow row = RequestTable.Find(number)!;
        var session = new Conversation();
        OwnedFd[] fds = [.. Enumerable.Range(0, row.Fds.Min).Select(_ => NewFd())];

        session.Send(row.Code, new byte[row.Payload.Min], fds);

        bool refused = session.Last.Refusal?.EndsWith("is not negotiated", StringComparison.Ordinal) ?? false;
        Assert.Equal(row.Gate is Gate.Acknowledged or Gate.AccessPlatform, refused);
    }

    [Fact]
    public void Without_REPLY_ACK_need_reply_means_nothing()
    {
        var session = new Conversation();

        Assert.Null(session.Ask(RequestCode.SetOwner));
        Assert.Null(session.Ask(RequestCode.SetLogFd));
    }

    [Fact]
    public void REPLY_ACK_holds_from_the_message_that_settles_it()
    {
        var session = new Conversation();

        Assert.Equal(0ul, session.Ask(RequestCode.SetProtocolFeatures, U64((ulong)ProtocolFeatures.ReplyAck)));
    }

    [Fact]
    public void A_request_with_a_reply_of_its_own_gets_one_reply_and_no_acknowledgement()
    {
        Conversation session = Negotiated();

        Assert.Equal((ulong)session.State.Profile.OfferedFeatures, session.Ask(RequestCode.GetFeatures));
    }

    [Fact]
    public void A_front_end_that_waits_for_a_base_it_cannot_have_gets_a_reply_without_content()
    {
        Conversation session = Running(0);
        session.Send(RequestCode.GetVringBase, Ring(200, 0));

        Assert.Equal(0, session.Payload()!.Value.Length);
    }

    [Fact]
    public void A_step_whose_effect_failed_is_taken_back_by_the_same_rule()
    {
        Conversation session = WithMemory();
        SessionState before = session.State;
        VhostUserMessage message = VhostUserMessage.Create(
            RequestCode.SetMemTable, MemTable.ToBytes([Region with { UserAddress = 0 }]), [NewFd()], needReply: true);
        SessionStep step = VhostUserSession.Step(before, message);
        MapMemory map = Assert.IsType<MapMemory>(Assert.Single(step.Effects));
        map.Dispose();

        SessionStep instead = VhostUserSession.Refuse(before, message, "the file is too short");

        Assert.Equal((before, Reply.Failure), (instead.Next, instead.Reply));
        Assert.Equal("SetMemTable refused: the file is too short", instead.Refusal);
        Assert.True(map.Regions[0].File.IsClosed);
    }

    [Fact]
    public void The_509th_region_is_taken_and_the_510th_refused()
    {
        Conversation session = WithMemory();
        for (ulong i = 1; i < 509; i++)
        {
            session.Send(RequestCode.AddMemReg, Slot(i), NewFd());
            Assert.Null(session.Last.Refusal);
            session.Last.Effects[0].Dispose();
        }

        OwnedFd file = NewFd();
        Assert.Equal(1ul, session.Ask(RequestCode.AddMemReg, Slot(509), file));
        Assert.True(file.IsClosed);
    }

    [Fact]
    public void A_refused_SET_MEM_TABLE_leaks_no_fd()
    {
        Conversation session = WithMemory();
        OwnedFd[] fds = [NewFd(), NewFd(), NewFd()];

        Assert.Equal(1ul, session.Ask(RequestCode.SetMemTable, MemTable.ToBytes([Region]), fds));

        Assert.All(fds, fd => Assert.True(fd.IsClosed));
    }

    private static ReadOnlyMemory<byte> Slot(ulong i) =>
        new SingleMemoryRegion(new MemoryRegionLayout(i * RegionSize, RegionSize, UserAddress + (i * RegionSize), 0)).ToBytes();
}
