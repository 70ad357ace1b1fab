using System.Globalization;
using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Memory;

/// <summary>What lies around guest memory in this process: nothing that could be touched.</summary>
public sealed unsafe partial class GuardPagesSpec
{
    private const ulong Page = SharedFile.Page;
    private const ulong HugePage = 2 << 20;
    private const int BadAddress = 14;

    [Theory]
    [InlineData(Page, 0)]
    [InlineData(3 * Page, Page)]
    [InlineData(HugePage, 0)]
    [InlineData(2 * HugePage, 3 * Page)]
    public void A_page_before_and_a_page_behind_may_not_be_touched(ulong size, ulong offset)
    {
        using var file = new SharedFile(offset + size);
        GuestMemory memory = GuestMemory.Map([(new MemoryRegionLayout(0, size, 0, offset), file.Fd)]);
        Assert.True(memory.TryTranslate(0, size, out byte* host, out _));

        Assert.Equal("rw-s", ProtectionOf(host));
        Assert.Equal("rw-s", ProtectionOf(host + size - 1));
        Assert.Equal("---p", ProtectionOf(host - Page));
        Assert.Equal("---p", ProtectionOf(host - 1));
        Assert.Equal("---p", ProtectionOf(host + size));
        Assert.Equal("---p", ProtectionOf(host + size + Page - 1));
        memory.Release();
    }

    [Fact]
    public void A_system_call_that_goes_too_far_reaches_no_other_region()
    {
        using var source = new SharedFile(Page);
        using var first = new SharedFile(Page);
        using var second = new SharedFile(Page);
        GuestMemory memory = GuestMemory.Map(
        [
            (new MemoryRegionLayout(0, Page, 0, 0), first.Fd), (new MemoryRegionLayout(Page, Page, Page, 0), second.Fd),
        ]);
        foreach (ulong region in (ulong[])[0, Page])
        {
            Assert.True(memory.TryTranslate(region, Page, out byte* host, out _));
            using FdLease lease = source.Fd.Lease();

            Assert.Equal(BadAddress, Sys.Result(pread(lease.Number, host + Page, 8, 0)).Error);
            Assert.Equal(BadAddress, Sys.Result(pread(lease.Number, host - 8, 8, 0)).Error);
        }

        memory.Release();
    }

    [Theory]
    [InlineData(HugePage, 0)]
    [InlineData(HugePage + Page, 0)]
    [InlineData(4 * HugePage, 5 * Page)]
    public void A_large_region_lies_where_huge_pages_can_be_used(ulong size, ulong offset)
    {
        using var file = new SharedFile(offset + size);
        GuestMemory memory = GuestMemory.Map([(new MemoryRegionLayout(0, size, 0, offset), file.Fd)]);

        Assert.True(memory.TryTranslate(0, size, out byte* host, out _));

        Assert.Equal(offset % HugePage, (ulong)host % HugePage);
        memory.Release();
    }

    [Fact]
    public void The_addresses_are_given_back_with_the_region() => ChildProcess.MustSucceed(MapAndReleaseOften);

    private static void MapAndReleaseOften()
    {
        const ulong Size = 1UL << 30;
        using var file = new SharedFile(Size);
        long before = AddressSpace();
        for (int i = 0; i < 200; i++)
        {
            GuestMemory.Map([(new MemoryRegionLayout(0, Size, 0, 0), file.Fd)]).Release();
        }

        Assert.InRange(AddressSpace() - before, long.MinValue, (long)Size);
    }

    /// <summary>Bytes of all that this process has reserved and mapped.</summary>
    private static long AddressSpace() =>
        long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[0], CultureInfo.InvariantCulture) * Environment.SystemPageSize;

    private static string ProtectionOf(byte* address) => File.ReadLines("/proc/self/maps")
        .Select(line => line.Split([' ', '-'], 3))
        .First(parts => (ulong)address >= Hex(parts[0]) && (ulong)address < Hex(parts[1]))[2][..4];

    private static ulong Hex(string number) => ulong.Parse(number, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pread(int fd, byte* buffer, nuint length, long offset);
}
