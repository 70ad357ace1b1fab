using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Tests.Memory;

/// <summary>Snapshots: what they hold, share and release.</summary>
public sealed unsafe class GuestMemorySpec
{
    private const ulong Page = SharedFile.Page;

    [Fact]
    public void A_region_shows_its_file_from_the_offset_on()
    {
        using var file = new SharedFile(8 * Page);
        file.Write(3 * Page, [1, 2, 3]);
        GuestMemory memory = GuestMemory.Map([(new MemoryRegionLayout(0x10000, 2 * Page, 0x7000_0000, 3 * Page), file.Fd)]);

        byte* host = HostOf(memory, 0x10000);
        host[Page] = 77;

        Assert.Equal([1, 2, 3], new ReadOnlySpan<byte>(host, 3).ToArray());
        Assert.Equal(77, file.Read(4 * Page));
        memory.Release();
    }

    [Fact]
    public void An_offset_need_not_be_aligned()
    {
        using var file = new SharedFile(4 * Page);
        file.Write(Page + 100, [5]);
        file.Write((3 * Page) + 49, [6]);
        GuestMemory memory = GuestMemory.Map([(new MemoryRegionLayout(0x123, (2 * Page) - 50, 0x456, Page + 100), file.Fd)]);

        Assert.Equal(5, *HostOf(memory, 0x123));
        Assert.Equal(6, *HostOf(memory, 0x123 + (2 * Page) - 51));
        Assert.False(memory.TryTranslate(0x122, 1, out _, out _));
        Assert.False(memory.TryTranslate(0x123 + (2 * Page) - 50, 1, out _, out _));
        memory.Release();
        Assert.Equal(0, file.Mappings);
    }

    [Fact]
    public void A_file_on_disk_can_be_guest_memory()
    {
        string path = Path.GetTempFileName();
        File.WriteAllBytes(path, new byte[Page]);
        using OwnedFd file = SharedFile.Open(path, 2);
        GuestMemory memory = GuestMemory.Map([(new MemoryRegionLayout(0, Page, 0, 0), file)]);

        *HostOf(memory, 9) = 9;
        memory.Release();

        Assert.Equal(9, File.ReadAllBytes(path)[9]);
        File.Delete(path);
    }

    [Fact]
    public void The_descriptors_stay_the_callers_and_no_copy_is_kept()
    {
        using var file = new SharedFile(2 * Page);
        GuestMemory memory = GuestMemory.Map([(new MemoryRegionLayout(0, Page, 0, 0), file.Fd)]);
        GuestMemory more = memory.Add(new MemoryRegionLayout(Page, Page, Page, Page), file.Fd);

        Assert.Equal(1, file.Descriptors);
        file.Fd.Dispose();
        Assert.Equal(0, *HostOf(more, Page));
        memory.Release();
        more.Release();
    }

    [Fact]
    public void A_table_of_509_regions_works()
    {
        using var file = new SharedFile(GuestMemory.MaxRegions * Page);
        GuestMemory memory = GuestMemory.Map([.. Enumerable.Range(0, GuestMemory.MaxRegions).Select(i => (Nth(i), file.Fd))]);

        for (int i = 0; i < GuestMemory.MaxRegions; i++)
        {
            file.Write((ulong)i * Page, [(byte)i]);
            Assert.Equal((byte)i, *HostOf(memory, Nth(i).GuestAddress));
        }

        memory.Release();
        Assert.Equal(0, file.Mappings);
    }

    [Fact]
    public void A_region_too_many_is_refused_and_the_table_stays_as_it_is()
    {
        using var file = new SharedFile(Page);
        GuestMemory full = GuestMemory.Map(
            [.. Enumerable.Range(0, GuestMemory.MaxRegions).Select(i => (Nth(i) with { MmapOffset = 0 }, file.Fd))]);
        int before = file.Mappings;

        MemoryRegionLayout extra = Nth(GuestMemory.MaxRegions) with { MmapOffset = 0 };
        GuestMemoryException refusal = Assert.Throws<GuestMemoryException>(() => full.Add(extra, file.Fd));
        Assert.Throws<GuestMemoryException>(
            () => GuestMemory.Map([.. full.Regions.Append(extra).Select(layout => (layout, file.Fd))]));

        Assert.Equal(extra, refusal.Region);
        Assert.Equal(before, file.Mappings);
        full.Release();
    }

    [Fact]
    public void A_table_without_regions_is_refused() => Assert.Throws<GuestMemoryException>(() => GuestMemory.Map([]));

    [Fact]
    public void The_regions_are_listed_as_the_front_end_named_them()
    {
        using var file = new SharedFile(4 * Page);
        MemoryRegionLayout[] layouts = [Nth(2), Nth(0), Nth(3)];
        GuestMemory memory = GuestMemory.Map([.. layouts.Select(layout => (layout, file.Fd))]);
        GuestMemory more = memory.Add(Nth(1), file.Fd);
        GuestMemory fewer = more.Remove(Nth(0));

        Assert.Equal(layouts, memory.Regions);
        Assert.Equal([.. layouts, Nth(1)], more.Regions);
        Assert.Equal([Nth(2), Nth(3), Nth(1)], fewer.Regions);
        Array.ForEach([memory, more, fewer], each => each.Release());
    }

    [Fact]
    public void Snapshots_share_a_region_and_the_last_one_unmaps_it()
    {
        using var first = new SharedFile(Page);
        using var second = new SharedFile(Page);
        GuestMemory one = GuestMemory.Map([(Nth(0), first.Fd)]);
        GuestMemory two = one.Add(Nth(1) with { MmapOffset = 0 }, second.Fd);
        GuestMemory rest = two.Remove(Nth(0));

        Assert.True(HostOf(one, Nth(0).GuestAddress) == HostOf(two, Nth(0).GuestAddress));
        Assert.Equal((1, 1), (first.Mappings, second.Mappings));
        one.Release();
        Assert.Equal((1, 1), (first.Mappings, second.Mappings));
        two.Release();
        Assert.Equal((0, 1), (first.Mappings, second.Mappings));
        rest.Release();
        Assert.Equal((0, 0), (first.Mappings, second.Mappings));
    }

    [Fact]
    public void A_region_is_removed_by_its_addresses_and_size_whatever_the_offset()
    {
        using var file = new SharedFile(2 * Page);
        GuestMemory memory = GuestMemory.Map([(Nth(0), file.Fd), (Nth(1), file.Fd)]);

        GuestMemory rest = memory.Remove(Nth(1) with { MmapOffset = 12345 });

        Assert.Equal([Nth(0)], rest.Regions);
        memory.Release();
        rest.Release();
        Assert.Equal(0, file.Mappings);
    }

    [Theory]
    [InlineData(1, 0, 0)]
    [InlineData(0, 1, 0)]
    [InlineData(0, 0, 1)]
    public void A_region_that_is_not_in_the_table_cannot_be_removed(ulong guest, ulong user, ulong size)
    {
        using var file = new SharedFile(Page);
        GuestMemory memory = GuestMemory.Map([(Nth(0), file.Fd)]);
        MemoryRegionLayout wrong = new(Nth(0).GuestAddress + guest, Page + size, Nth(0).UserAddress + user, 0);

        GuestMemoryException refusal = Assert.Throws<GuestMemoryException>(() => memory.Remove(wrong));

        Assert.Equal(wrong, refusal.Region);
        memory.Release();
        Assert.Equal(0, file.Mappings);
    }

    [Fact]
    public void Removing_the_last_region_gives_the_empty_table_and_one_can_be_added_again()
    {
        using var file = new SharedFile(Page);
        GuestMemory memory = GuestMemory.Empty.Add(Nth(0), file.Fd);
        GuestMemory none = memory.Remove(Nth(0));
        memory.Release();

        Assert.Same(GuestMemory.Empty, none);
        Assert.Equal(0, file.Mappings);
        GuestMemory again = none.Add(Nth(0), file.Fd);
        Assert.Equal(1, file.Mappings);
        again.Release();
    }

    [Fact]
    public void The_empty_table_translates_nothing_and_is_never_used_up()
    {
        GuestMemory.Empty.Release();
        GuestMemory.Empty.Release();
        GuestMemory.Empty.Retain();

        Assert.False(GuestMemory.Empty.TryTranslate(0, 1, out _, out _));
        Assert.False(GuestMemory.Empty.TryTranslateUser(0, 1, out _));
        Assert.False(GuestMemory.Empty.Faulted);
    }

    [Fact]
    public void A_snapshot_without_references_cannot_be_revived()
    {
        using var file = new SharedFile(2 * Page);
        GuestMemory memory = GuestMemory.Map([(Nth(0), file.Fd)]);
        memory.Retain();
        memory.Release();
        memory.Release();

        Assert.Throws<ObjectDisposedException>(memory.Retain);
        Assert.Throws<ObjectDisposedException>(() => memory.Add(Nth(1), file.Fd));
        Assert.Throws<InvalidOperationException>(memory.Release);
        Assert.Equal(0, file.Mappings);
    }

    [Fact]
    public void Many_threads_may_retain_and_release_at_once()
    {
        using var file = new SharedFile(64 * Page);
        GuestMemory memory = GuestMemory.Map([(Nth(0), file.Fd)]);
        Thread[] threads = [.. Enumerable.Range(1, 4).Select(first => new Thread(() => Churn(memory, file, first)))];

        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());

        Assert.Equal(1, file.Mappings);
        memory.Release();
        Assert.Equal(0, file.Mappings);
    }

    [Fact]
    public void The_guard_against_vanishing_memory_is_in_place() => Assert.Null(GuestMemory.GuardProblem);

    private static void Churn(GuestMemory memory, SharedFile file, int region)
    {
        for (int i = 0; i < 200; i++)
        {
            memory.Retain();
            GuestMemory more = memory.Add(Nth(region), file.Fd);
            GuestMemory fewer = more.Remove(Nth(0));
            more.Release();
            memory.Release();
            fewer.Release();
        }
    }

    /// <summary>Regions of one page each with a page's gap between them, from ever later pages of their file.</summary>
    private static MemoryRegionLayout Nth(int i) =>
        new(0x4000_0000 + (2 * (ulong)i * Page), Page, 0x7f00_0000_0000 + (2 * (ulong)i * Page), (ulong)i * Page);

    private static byte* HostOf(GuestMemory memory, ulong guestAddress)
    {
        Assert.True(memory.TryTranslate(guestAddress, 1, out byte* host, out _));
        return host;
    }
}
