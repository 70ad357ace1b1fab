using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>QEMU up to 7.2 sends ADD_MEM_REG and REM_MEM_REG once for each queue pair, all over one connection.</summary>
public sealed class RepeatedRegionSpec
{
    private static readonly MemoryRegionLayout Added = new(RegionSize, RegionSize, UserAddress + RegionSize, 0);

    [Fact]
    public void A_region_that_is_there_already_is_accepted_and_nothing_is_mapped()
    {
        Conversation session = WithMemory();
        OwnedFd file = NewFd();

        Assert.Equal(0ul, session.Ask(RequestCode.AddMemReg, Payload(Region), file));

        Assert.Empty(session.Last.Effects);
        Assert.Equal<MemoryRegionLayout>([Region], session.State.Regions);
    }

    [Fact]
    public void The_file_of_a_repeated_region_is_closed_with_its_message()
    {
        Conversation session = WithMemory();
        OwnedFd file = NewFd();
        using (VhostUserMessage message = VhostUserMessage.Create(RequestCode.AddMemReg, Payload(Region), [file]))
        {
            session.Send(message);
        }

        Assert.True(file.IsClosed);
    }

    [Fact]
    public void A_region_goes_when_it_was_removed_as_often_as_it_was_added()
    {
        Conversation session = WithMemory();
        session.Ask(RequestCode.AddMemReg, Payload(Added), NewFd());
        session.Last.Effects.Single().Dispose();
        session.Ask(RequestCode.AddMemReg, Payload(Added), NewFd());

        Assert.Equal(0ul, session.Ask(RequestCode.RemMemReg, Payload(Added)));
        Assert.Empty(session.Last.Effects);
        Assert.Equal<MemoryRegionLayout>([Region, Added], session.State.Regions);

        Assert.Equal(0ul, session.Ask(RequestCode.RemMemReg, Payload(Added)));
        Assert.Single(session.Last.Effects);
        Assert.Equal<MemoryRegionLayout>([Region], session.State.Regions);
        Assert.NotEqual(0ul, session.Ask(RequestCode.RemMemReg, Payload(Added)));
    }

    [Fact]
    public void A_new_table_forgets_how_often_a_region_was_added()
    {
        Conversation session = WithMemory();
        session.Ask(RequestCode.AddMemReg, Payload(Region), NewFd());

        session.SetMemory();

        session.Ask(RequestCode.RemMemReg, Payload(Region));
        Assert.Empty(session.State.Regions);
    }

    [Fact]
    public void A_region_at_the_same_place_with_another_offset_is_not_the_same()
    {
        Conversation session = WithMemory();

        session.Ask(RequestCode.AddMemReg, Payload(Region with { MmapOffset = 4096 }), NewFd());

        Assert.Single(session.Last.Effects).Dispose();
    }

    private static ReadOnlyMemory<byte> Payload(MemoryRegionLayout region) => new SingleMemoryRegion(region).ToBytes();
}
