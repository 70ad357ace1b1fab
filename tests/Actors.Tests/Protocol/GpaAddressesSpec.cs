using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>With GPA_ADDRESSES rings and regions are said by guest-physical addresses alone.</summary>
public sealed class GpaAddressesSpec
{
    private const ulong Guest = 0x4000_0000;

    private static readonly VringAddresses ByGuest = new(0, 0, Guest, Guest + 0x8000, Guest + 0x6000, 0);

    [Fact]
    public void A_ring_runs_by_guest_addresses_whatever_user_addresses_the_regions_claim()
    {
        Conversation session = Acknowledged();
        session.SetMemory(new MemoryRegionLayout(0, RegionSize, 7, 0), new MemoryRegionLayout(Guest, RegionSize, 7, 0));
        session.Send(RequestCode.SetVringNum, Ring(0, 64));
        session.Send(RequestCode.SetVringAddr, ByGuest.ToBytes());
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        Assert.Equal(Guest, session.Plan(0)!.DescriptorAddress);
        Assert.Equal([0UL, Guest], session.State.Regions.Select(region => region.UserAddress));
    }

    [Fact]
    public void The_same_addresses_are_out_of_reach_without_it()
    {
        Conversation session = Negotiated();
        session.SetMemory(new MemoryRegionLayout(Guest, RegionSize, UserAddress, 0));
        session.Send(RequestCode.SetVringNum, Ring(0, 64));
        session.Send(RequestCode.SetVringAddr, ByGuest.ToBytes());
        session.Send(RequestCode.SetVringKick, Index(0), NewFd());

        Assert.Null(session.Plan(0));
    }

    [Fact]
    public void A_region_is_added_and_removed_by_its_guest_address()
    {
        Conversation session = Acknowledged();
        var region = new MemoryRegionLayout(Guest, RegionSize, 1, 0);
        session.Send(RequestCode.AddMemReg, new SingleMemoryRegion(region).ToBytes(), NewFd());
        var added = Assert.IsType<AddRegion>(Assert.Single(session.Last.Effects));
        Assert.Equal(region with { UserAddress = Guest }, added.Layout);
        added.Dispose();

        Assert.Equal(0UL, session.Ask(RequestCode.RemMemReg, new SingleMemoryRegion(region with { UserAddress = 2 }).ToBytes()));
        Assert.Empty(session.State.Regions);
    }

    [Fact]
    public void It_cannot_be_switched_while_there_is_memory()
    {
        Conversation session = WithMemory();
        ulong features = (ulong)session.State.ProtocolFeatures;
        Assert.Equal(1UL, session.Ask(RequestCode.SetProtocolFeatures, U64(features | (ulong)ProtocolFeatures.GpaAddresses)));
        Assert.Equal(0UL, session.Ask(RequestCode.SetProtocolFeatures, U64(features)));
    }

    private static Conversation Acknowledged()
    {
        var session = new Conversation();
        session.Send(RequestCode.SetProtocolFeatures, U64((ulong)session.State.Profile.OfferedProtocolFeatures));
        session.Send(RequestCode.SetFeatures, U64((ulong)Everything));
        Assert.True(session.State.ProtocolFeatures.HasFlag(ProtocolFeatures.GpaAddresses));
        return session;
    }
}
