using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Tests.Memory;

/// <summary>The translations of a device behind an IOMMU: what is kept, refused and forgotten.</summary>
public sealed class IotlbSpec
{
    private const ulong Page = 0x1000;
    private const ulong User = 0x7f00_0000_0000;

    [Fact]
    public void An_address_is_found_from_the_first_byte_of_its_translation_to_the_last()
    {
        Iotlb iotlb = With(Entry(0x10), Entry(0x12));
        Assert.False(iotlb.TryFind((0x10 * Page) - 1, out _));
        Assert.True(iotlb.TryFind(0x10 * Page, out _));
        Assert.True(iotlb.TryFind((0x11 * Page) - 1, out _));
        Assert.False(iotlb.TryFind(0x11 * Page, out _));
        Assert.True(iotlb.TryFind(0x12 * Page, out IotlbEntry entry));
        Assert.Equal(User + (0x12 * Page), entry.UserAddress);
    }

    [Theory]
    [InlineData(0x1000UL, 0UL, 0x1000UL, 3, "no bytes")]
    [InlineData(ulong.MaxValue, 2UL, 0x1000UL, 3, "wraps")]
    [InlineData(0x1000UL, 2UL, ulong.MaxValue, 3, "wraps")]
    [InlineData(0UL, ulong.MaxValue, 1UL << 63, 3, "wraps")]
    [InlineData(0x1000UL, 0x1000UL, 0x1000UL, 0, "access 0")]
    [InlineData(0x1000UL, 0x1000UL, 0x1000UL, 4, "access 4")]
    public void A_translation_that_cannot_be_is_refused(ulong iova, ulong size, ulong user, byte access, string reason)
    {
        Assert.Null(Iotlb.Empty.Update(new IotlbEntry(iova, size, user, (IotlbAccess)access), out string? error));
        Assert.Contains(reason, error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_last_address_there_is_can_be_translated()
    {
        Iotlb iotlb = Iotlb.Empty.Update(new IotlbEntry(ulong.MaxValue, 1, 0x1000, IotlbAccess.ReadOnly), out _)!;
        Assert.True(iotlb.TryFind(ulong.MaxValue, out _));
        Assert.Equal(0, iotlb.Invalidate(0, ulong.MaxValue).Count);
    }

    [Fact]
    public void What_contradicts_a_known_translation_is_refused_until_that_is_withdrawn()
    {
        Iotlb iotlb = With(Entry(0x10));
        IotlbEntry elsewhere = Entry(0x10) with { UserAddress = User };
        Assert.Null(iotlb.Update(elsewhere, out string? error));
        Assert.Contains("elsewhere already", error, StringComparison.Ordinal);
        Assert.Null(iotlb.Update(elsewhere with { Iova = 0x11 * Page - 1, Size = 2 }, out _));
        Assert.NotNull(iotlb.Invalidate(0x10 * Page, 0x10 * Page).Update(elsewhere, out _));
    }

    [Fact]
    public void The_same_translation_once_more_or_a_larger_one_takes_the_place_of_the_first()
    {
        Iotlb iotlb = With(Entry(0x10), Entry(0x11), Entry(0x13));
        Iotlb again = iotlb.Update(Entry(0x10) with { Access = IotlbAccess.ReadOnly }, out _)!;
        Assert.Equal(3, again.Count);
        Assert.True(again.TryFind(0x10 * Page, out IotlbEntry entry));
        Assert.Equal(IotlbAccess.ReadOnly, entry.Access);

        Iotlb larger = iotlb.Update(Entry(0x10) with { Size = 4 * Page }, out _)!;
        Assert.Equal(1, larger.Count);
        Assert.True(larger.TryFind(0x12 * Page, out _));
        Assert.False(iotlb.TryFind(0x12 * Page, out _));
    }

    [Fact]
    public void A_withdrawal_takes_every_translation_that_it_touches_and_no_other()
    {
        Iotlb iotlb = With(Entry(0x10), Entry(0x11), Entry(0x12), Entry(0x14));
        Iotlb left = iotlb.Invalidate((0x11 * Page) + 1, 0x12 * Page);
        ulong[] pages = [0x10, 0x11, 0x12, 0x14];
        Assert.Equal([true, false, false, true], pages.Select(page => left.TryFind(page * Page, out _)));
        Assert.Same(left, left.Invalidate(0x13 * Page, (0x14 * Page) - 1));
    }

    [Fact]
    public void There_are_never_more_than_so_many_and_the_newest_is_among_them()
    {
        Iotlb iotlb = Iotlb.Empty;
        var random = new Random(20_261_126);
        for (int i = 0; i < Iotlb.MaxEntries + 200; i++)
        {
            IotlbEntry entry = Entry((ulong)random.Next(1, int.MaxValue));
            iotlb = iotlb.Update(entry, out _)!;
            Assert.True(iotlb.TryFind(entry.Iova, out IotlbEntry found));
            Assert.Equal(entry, found);
        }

        Assert.Equal(Iotlb.MaxEntries, iotlb.Count);
    }

    private static IotlbEntry Entry(ulong page) => new(page * Page, Page, User + (page * Page), IotlbAccess.ReadWrite);

    private static Iotlb With(params IotlbEntry[] entries) =>
        entries.Aggregate(Iotlb.Empty, (iotlb, entry) => iotlb.Update(entry, out _)!);
}
