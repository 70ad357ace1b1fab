using CsCheck;
using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Tests.Memory;

/// <summary>Translation of both kinds of address, against a list that is searched from end to end.</summary>
public sealed unsafe class TranslationSpec : IDisposable
{
    private const ulong Page = SharedFile.Page;
    private const int FileLength = 64 * (int)Page;
    private readonly SharedFile _file = new(FileLength);
    private readonly byte[] _content = new byte[FileLength];

    public TranslationSpec()
    {
        new Random(1).NextBytes(_content);
        _file.Write(0, _content);
    }

    public void Dispose() => _file.Dispose();

    [Fact]
    public void Any_table_translates_as_a_plain_list_would() => Tables.Sample(CheckTable, iter: 300, threads: 1);

    [Fact]
    public void A_buffer_over_two_adjacent_regions_is_translated_in_two_pieces()
    {
        GuestMemory memory = Map(new MemoryRegionLayout(0, Page, 0, 5 * Page), new MemoryRegionLayout(Page, Page, 10 * Page, 0));

        Assert.True(memory.TryTranslate(Page - 3, 10, out byte* first, out ulong available));
        Assert.Equal(3u, available);
        Assert.True(memory.TryTranslate(Page, 7, out byte* second, out available));
        Assert.Equal(7u, available);

        Assert.Equal(_content.AsSpan((6 * (int)Page) - 3, 3).ToArray(), new ReadOnlySpan<byte>(first, 3).ToArray());
        Assert.Equal(_content.AsSpan(0, 7).ToArray(), new ReadOnlySpan<byte>(second, 7).ToArray());
        memory.Release();
    }

    [Fact]
    public void A_length_beyond_all_memory_is_cut_to_what_the_region_has()
    {
        GuestMemory memory = Map(new MemoryRegionLayout(Page, Page, 0, 0));

        Assert.True(memory.TryTranslate(Page + 1, ulong.MaxValue, out _, out ulong available));

        Assert.Equal(Page - 1, available);
        Assert.False(memory.TryTranslateUser(1, ulong.MaxValue, out byte* host));
        Assert.True(host == null);
        memory.Release();
    }

    [Fact]
    public void Regions_at_the_ends_of_the_address_space_translate()
    {
        const ulong Last = ulong.MaxValue - Page;
        GuestMemory memory = Map(new MemoryRegionLayout(0, Page, Last, 0), new MemoryRegionLayout(Last, Page, 0, Page));

        Assert.True(memory.TryTranslate(ulong.MaxValue - 1, ulong.MaxValue, out _, out ulong available));
        Assert.Equal(1u, available);
        Assert.False(memory.TryTranslate(ulong.MaxValue, 1, out _, out _));
        Assert.True(memory.TryTranslateUser(ulong.MaxValue - 1, 1, out _));
        Assert.False(memory.TryTranslateUser(ulong.MaxValue - 1, 2, out _));
        Assert.False(memory.TryTranslateUser(ulong.MaxValue - 1, ulong.MaxValue, out _));
        memory.Release();
    }

    [Fact]
    public void A_ring_over_regions_that_do_not_follow_each_other_here_is_not_in_one_piece()
    {
        var endsWithinAPage = new MemoryRegionLayout(0, Page + 8, 0, 0);
        GuestMemory memory = Map(endsWithinAPage, new MemoryRegionLayout(1 << 20, Page, Page + 8, 4 * Page));

        Assert.False(memory.TryTranslateUser(Page, 16, out _));
        Assert.True(memory.TryTranslateUser(Page, 8, out _));
        memory.Release();
    }

    [Fact]
    public void A_new_cache_holds_no_address()
    {
        GuestMemory memory = Map(new MemoryRegionLayout(Page, Page, 0, 0));
        var cache = new TranslationCache(memory);

        Assert.False(cache.TryTranslate(0, 1, out _, out _));
        Assert.True(cache.TryTranslate(Page, 1, out _, out _));
        Assert.False(cache.TryTranslate(Page - 1, 1, out _, out _));
        Assert.True(cache.TryTranslate((2 * Page) - 1, 5, out _, out ulong available));
        Assert.Equal(1u, available);
        memory.Release();
    }

    [Fact]
    public void A_read_may_span_regions_and_fails_where_one_is_missing()
    {
        GuestMemory memory = Map(new MemoryRegionLayout(0, Page, 0, 5 * Page), new MemoryRegionLayout(Page, 3, 10 * Page, 9));
        var cache = new TranslationCache(memory);
        byte* copy = stackalloc byte[8];

        Assert.True(cache.TryRead(Page - 5, copy, 8));
        Assert.False(cache.TryRead(Page - 4, copy, 8));
        Assert.True(cache.TryRead(Page - 5, copy, 8));

        byte[] expected = [.. _content.AsSpan((6 * (int)Page) - 5, 5), .. _content.AsSpan(9, 3)];
        Assert.Equal(expected, new ReadOnlySpan<byte>(copy, 8).ToArray());
        memory.Release();
    }

    [Fact]
    public void Translating_allocates_nothing()
    {
        GuestMemory memory = Map([.. Enumerable.Range(0, 60).Select(i => Nth((ulong)i))]);
        ulong found = Walk(memory);
        long before = GC.GetAllocatedBytesForCurrentThread();

        found += Walk(memory);

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.Equal(2u * 60 * 3, found);
        memory.Release();
    }

    private static MemoryRegionLayout Nth(ulong i) => new(2 * i * Page, Page, 3 * i * Page, i * Page);

    private static ulong Walk(GuestMemory memory)
    {
        var cache = new TranslationCache(memory);
        ulong found = 0;
        for (ulong i = 0; i < 60; i++)
        {
            found += memory.TryTranslate(Nth(i).GuestAddress, 1, out _, out ulong available) ? available : 0;
            found += cache.TryTranslate(Nth(i).GuestAddress, 1, out _, out available) ? available : 0;
            found += memory.TryTranslateUser(Nth(i).UserAddress, Page, out _) ? 1ul : 0;
        }

        return found;
    }

    /// <summary>A table as gaps and sizes, and where in it to probe.</summary>
    private sealed record Table(MemoryRegionLayout[] Regions, (int Region, long Offset, ulong Length)[] Probes)
    {
        public override string ToString() => string.Join("; ", Regions) + " probed at " + string.Join(", ", Probes);
    }

    private static readonly Gen<ulong> Gap =
        Gen.Frequency((2, Gen.Const(0ul)), (1, Gen.ULong[1, 5000]), (1, Gen.ULong[1ul << 20, 1ul << 40]));

    private static readonly Gen<ulong> Length = Gen.Frequency((3, Gen.ULong[0, 64]), (2, Gen.ULong[0, 30000]), (1, Gen.ULong));

    private static readonly Gen<Table> Tables = Gen.Select(
        Gen.Select(Gap, Gap, Gen.ULong[1, 3 * Page], Gen.ULong[0, 60 * Page]).Array[1, 20],
        Gen.Select(Gen.Int[0, 19], Gen.Long[-20, 4 * (long)Page], Length).Array[60],
        Gen.OneOf(Gen.Const(0ul), Gen.Const(1ul << 30), Gen.Const(ulong.MaxValue - (1ul << 46))),
        Gen.OneOf(Gen.Const(0ul), Gen.Const(1ul << 46), Gen.Const(ulong.MaxValue - (1ul << 46))),
        Gen.Int[0, 19],
        Place);

    /// <summary>Guest addresses ascend in one order, user addresses in the same one begun elsewhere.</summary>
    private static Table Place(
        (ulong GuestGap, ulong UserGap, ulong Size, ulong Offset)[] parts,
        (int Region, long Offset, ulong Length)[] probes,
        ulong guest,
        ulong user,
        int turn)
    {
        var regions = new MemoryRegionLayout[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            guest += parts[i].GuestGap;
            regions[i] = new MemoryRegionLayout(guest, parts[i].Size, 0, parts[i].Offset);
            guest += parts[i].Size;
        }

        for (int i = 0; i < parts.Length; i++)
        {
            int turned = (i + turn) % parts.Length;
            user += parts[turned].UserGap;
            regions[turned] = regions[turned] with { UserAddress = user };
            user += parts[turned].Size;
        }

        return new Table(regions, probes);
    }

    private void CheckTable(Table table)
    {
        GuestMemory memory = Map(table.Regions);
        var cache = new TranslationCache(memory);
        foreach ((int region, long offset, ulong length) in table.Probes)
        {
            MemoryRegionLayout near = table.Regions[region % table.Regions.Length];
            CheckGuest(table, memory, ref cache, near.GuestAddress + (ulong)offset, length);
            CheckGuest(table, memory, ref cache, near.GuestAddress + near.Size - (ulong)(offset & 7), length);
            CheckUser(table, memory, near.UserAddress + (ulong)offset, length);
            CheckUser(table, memory, near.UserAddress + near.Size - (ulong)(offset & 7), length);
        }

        memory.Release();
        Assert.Equal(0, _file.Mappings);
    }

    private void CheckGuest(Table table, GuestMemory memory, ref TranslationCache cache, ulong address, ulong length)
    {
        MemoryRegionLayout? holder = FirstOrNull(table.Regions, region => Holds(region.GuestAddress, region.Size, address));

        bool found = memory.TryTranslate(address, length, out byte* host, out ulong available);
        bool foundAgain = cache.TryTranslate(address, length, out byte* hostAgain, out ulong availableAgain);

        Assert.Equal(holder is not null, found);
        Assert.Equal((found, (nint)host, available), (foundAgain, (nint)hostAgain, availableAgain));
        if (holder is { } region)
        {
            ulong offset = address - region.GuestAddress;
            Assert.Equal(Math.Min(length, region.Size - offset), available);
            AssertContent(host, region.MmapOffset + offset, available);
        }
    }

    private void CheckUser(Table table, GuestMemory memory, ulong address, ulong length)
    {
        bool found = memory.TryTranslateUser(address, length, out byte* host);

        MemoryRegionLayout? holder = FirstOrNull(table.Regions, region => Holds(region.UserAddress, region.Size, address));
        bool whole = holder is { } sole && length <= sole.Size - (address - sole.UserAddress);
        Assert.True(found || !whole);
        ulong covered = 0;
        while (found && holder is { } region)
        {
            ulong offset = address + covered - region.UserAddress;
            ulong piece = Math.Min(length - covered, region.Size - offset);
            AssertContent(host + covered, region.MmapOffset + offset, piece);
            covered += piece;
            ulong next = address + covered;
            holder = covered < length ? FirstOrNull(table.Regions, each => Holds(each.UserAddress, each.Size, next)) : null;
        }

        Assert.True(!found || covered == length);
    }

    private static bool Holds(ulong start, ulong size, ulong address) => address >= start && address < start + size;

    private static MemoryRegionLayout? FirstOrNull(MemoryRegionLayout[] regions, Func<MemoryRegionLayout, bool> holds) =>
        regions.Where(holds).Select(region => (MemoryRegionLayout?)region).FirstOrDefault();

    private void AssertContent(byte* host, ulong offset, ulong length) =>
        Assert.True(new ReadOnlySpan<byte>(host, (int)length).SequenceEqual(_content.AsSpan((int)offset, (int)length)));

    private GuestMemory Map(params MemoryRegionLayout[] regions) =>
        GuestMemory.Map([.. regions.Select(layout => (layout, _file.Fd))]);
}
