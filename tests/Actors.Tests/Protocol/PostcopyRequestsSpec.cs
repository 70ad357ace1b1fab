using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>Post-copy migration, as far as the session decides it.</summary>
public sealed class PostcopyRequestsSpec
{
    [Fact]
    public void ADVISE_is_answered_with_the_userfaultfd_and_no_payload()
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.PostcopyAdvise);

        Assert.IsType<OpenFaults>(Assert.Single(session.Last.Effects));
        Assert.True(session.Last.Reply.HasFaultFile);
        Assert.Equal(0, session.Payload()!.Value.Length);
        Assert.Equal(PostcopyPhase.Advised, session.State.Postcopy);
    }

    [Fact]
    public void ADVISE_for_another_queue_pair_is_refused_without_the_userfaultfd()
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.PostcopyAdvise);
        session.Send(RequestCode.PostcopyAdvise);

        Assert.NotNull(session.Last.Refusal);
        Assert.False(session.Last.Reply.HasFaultFile);
        Assert.Equal(0, session.Payload()!.Value.Length);
    }

    [Fact]
    public void LISTEN_and_END_are_answered_with_zero_and_may_be_said_again()
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.PostcopyAdvise);

        Assert.Equal(0ul, session.Get(RequestCode.PostcopyListen));
        Assert.Equal(0ul, session.Get(RequestCode.PostcopyListen));
        Assert.True(session.State.IsPostcopy);
        Assert.Equal(0ul, session.Get(RequestCode.PostcopyEnd));
        Assert.Equal(0ul, session.Get(RequestCode.PostcopyEnd));
        Assert.False(session.State.IsPostcopy);
    }

    [Fact]
    public void LISTEN_without_ADVISE_is_refused()
    {
        Conversation session = Negotiated();

        Assert.NotEqual(0ul, session.Ask(RequestCode.PostcopyListen));
        Assert.Equal(PostcopyPhase.None, session.State.Postcopy);
    }

    [Theory]
    [InlineData(RequestCode.PostcopyAdvise)]
    [InlineData(RequestCode.PostcopyListen)]
    [InlineData(RequestCode.PostcopyEnd)]
    public void None_of_it_is_legal_without_PAGEFAULT(RequestCode request)
    {
        var session = new Conversation();
        session.Send(request);

        Assert.NotNull(session.Last.Refusal);
        Assert.Null(session.Payload());
    }

    [Fact]
    public void A_table_is_answered_with_the_mapped_addresses_and_rings_wait_for_the_acknowledgement()
    {
        Conversation session = Listening();
        session.SetMemory();
        session.State = session.State with { MappedAt = new Dictionary<MemoryRegionLayout, ulong> { [Region] = 0xabc000 } };
        Assert.True(MemTable.TryRead(session.Payload()!.Value.Span, out MemoryRegionLayout[] answered, out _));
        Assert.Equal([Region with { UserAddress = 0xabc000 }], answered);
        Start(session);
        Assert.Null(session.Plan(0));

        session.Send(RequestCode.SetMemTable, U64(0));

        Assert.Null(session.Last.Refusal);
        Assert.Null(session.Payload());
        Assert.NotNull(session.Plan(0));
    }

    [Fact]
    public void A_region_that_is_added_is_answered_with_its_mapped_address()
    {
        Conversation session = Listening();
        session.Send(RequestCode.AddMemReg, new SingleMemoryRegion(Region).ToBytes(), NewFd());
        session.State = session.State with { MappedAt = new Dictionary<MemoryRegionLayout, ulong> { [Region] = 0xabc000 } };

        Assert.True(SingleMemoryRegion.TryRead(session.Payload()!.Value.Span, out SingleMemoryRegion answered));
        Assert.Equal(Region with { UserAddress = 0xabc000 }, answered.Region);
        Assert.Equal(PostcopyPhase.Mapping, session.State.Postcopy);
        session.Send(RequestCode.AddMemReg, U64(0));
        Assert.Equal(PostcopyPhase.Listening, session.State.Postcopy);
    }

    [Fact]
    public void An_acknowledgement_that_tells_of_a_failure_starts_no_ring()
    {
        Conversation session = Listening();
        session.SetMemory();
        Start(session);

        session.Send(RequestCode.SetMemTable, U64(1));

        Assert.NotNull(session.Last.Refusal);
        Assert.Null(session.Plan(0));
    }

    [Fact]
    public void A_region_from_before_LISTEN_cannot_be_added_once_more_after_it()
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.AddMemReg, new SingleMemoryRegion(Region).ToBytes(), NewFd());
        session.Send(RequestCode.PostcopyAdvise);
        session.Send(RequestCode.PostcopyListen);

        session.Send(RequestCode.AddMemReg, new SingleMemoryRegion(Region).ToBytes(), NewFd());

        Assert.NotNull(session.Last.Refusal);
    }

    [Fact]
    public void END_lets_rings_run_without_further_ado()
    {
        Conversation session = Listening();
        session.SetMemory();
        Start(session);

        session.Send(RequestCode.PostcopyEnd);

        Assert.IsType<CloseFaults>(Assert.Single(session.Last.Effects));
        Assert.NotNull(session.Plan(0));
    }

    private static Conversation Listening()
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.PostcopyAdvise);
        session.Send(RequestCode.PostcopyListen);
        return session;
    }

    private static void Start(Conversation session)
    {
        session.Configure(0);
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());
        session.Enable(0, true);
    }
}
