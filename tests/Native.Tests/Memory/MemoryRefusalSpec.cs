using System.IO.Pipes;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Tests.Memory;

/// <summary>What a front-end may not offer as memory, and the seal on what it may.</summary>
public sealed class MemoryRefusalSpec
{
    private const ulong Page = SharedFile.Page;
    private const int ReadOnly = 0;
    private const int WriteOnly = 1;
    private const int ReadWrite = 2;
    private const int PathOnly = 0x200000;

    [Theory]
    [InlineData(2 * Page, 0, 2 * Page, true)]
    [InlineData(2 * Page, 0, (2 * Page) + 1, false)]
    [InlineData(2 * Page, 1, 2 * Page, false)]
    [InlineData(2 * Page, Page, Page, true)]
    [InlineData(2 * Page, Page, Page + 1, false)]
    [InlineData(2 * Page, 2 * Page, 1, false)]
    [InlineData(0, 0, 1, false)]
    [InlineData(100, 0, 100, true)]
    [InlineData(100, 0, 101, false)]
    public void A_region_that_is_larger_than_its_file_is_refused(ulong length, ulong offset, ulong size, bool fits)
    {
        using var file = new SharedFile(length);
        var layout = new MemoryRegionLayout(0, size, 0, offset);

        if (fits)
        {
            GuestMemory.Map([(layout, file.Fd)]).Release();
        }
        else
        {
            Assert.Contains("the file holds", Refused(layout, file).Reason, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(0x1000, 0, 0x1000, 0, "size is zero")]
    [InlineData(ulong.MaxValue - 0xfff, 0x1000, 0, 0, "guest address")]
    [InlineData(ulong.MaxValue, 0x1000, 0, 0, "guest address")]
    [InlineData(0, 0x1000, ulong.MaxValue - 0xfff, 0, "user address")]
    [InlineData(0, 0x1000, ulong.MaxValue, 0, "user address")]
    [InlineData(0, 0x1000, 0, ulong.MaxValue - 0xfff, "offset")]
    [InlineData(0, 0x1000, 0, ulong.MaxValue, "offset")]
    [InlineData(0, ulong.MaxValue, 0, 0, "the file holds")]
    [InlineData(0, 0x1000, 0, (ulong)long.MaxValue - 0xfff, "the file holds")]
    public void A_region_whose_arithmetic_does_not_hold_is_refused(
        ulong guest, ulong size, ulong user, ulong offset, string reason)
    {
        using var file = new SharedFile(4 * Page);
        var layout = new MemoryRegionLayout(guest, size, user, offset);

        GuestMemoryException refusal = Refused(layout, file);

        Assert.Contains(reason, refusal.Reason, StringComparison.Ordinal);
        Assert.Equal(layout, refusal.Region);
    }

    [Fact]
    public void A_sparse_file_beyond_the_address_space_is_refused()
    {
        using var file = new SharedFile(1ul << 60);

        string reason = Refused(new MemoryRegionLayout(0, 1ul << 60, 0, 0), file).Reason;

        Assert.Contains("mmap: ENOMEM", reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Page, 8 * Page, "guest addresses")]
    [InlineData(8 * Page, Page, "user addresses")]
    public void Regions_that_overlap_are_refused(ulong guest, ulong user, string kind)
    {
        using var file = new SharedFile(4 * Page);
        var first = new MemoryRegionLayout(0, Page + 1, 0, 0);
        var second = new MemoryRegionLayout(guest, Page, user, 2 * Page);

        Assert.Contains(kind, Refused([first, second], file).Reason, StringComparison.Ordinal);
        Assert.Contains(kind, Refused([second, first], file).Reason, StringComparison.Ordinal);
        GuestMemory memory = GuestMemory.Map([(first, file.Fd)]);
        Assert.Throws<GuestMemoryException>(() => memory.Add(second, file.Fd));
        Assert.Equal(1, file.Mappings);
        memory.Release();
    }

    [Fact]
    public void The_same_region_twice_is_refused()
    {
        using var file = new SharedFile(Page);
        var layout = new MemoryRegionLayout(0, Page, 0, 0);

        Refused([layout, layout], file);
    }

    [Fact]
    public void Regions_that_touch_are_not_refused()
    {
        using var file = new SharedFile(Page);
        var upper = new MemoryRegionLayout(Page, Page, 0, 0);
        var lower = new MemoryRegionLayout(0, Page, Page, 0);

        GuestMemory.Map([(upper, file.Fd), (lower, file.Fd)]).Release();

        Assert.Equal(0, file.Mappings);
    }

    [Fact]
    public void A_table_with_one_bad_region_leaves_nothing_mapped()
    {
        using var good = new SharedFile(2 * Page);
        using var tooShort = new SharedFile(Page - 1);

        GuestMemoryException refusal = Assert.Throws<GuestMemoryException>(() => GuestMemory.Map(
        [
            (new MemoryRegionLayout(0, Page, 0, 0), good.Fd),
            (new MemoryRegionLayout(Page, Page, Page, Page), good.Fd),
            (new MemoryRegionLayout(2 * Page, Page, 2 * Page, 0), tooShort.Fd),
        ]));

        Assert.Equal(2 * Page, refusal.Region?.GuestAddress);
        Assert.Contains("guest 0x2000", refusal.Message, StringComparison.Ordinal);
        Assert.Equal((0, 0), (good.Mappings, tooShort.Mappings));
        Assert.Equal((1, 1), (good.Descriptors, tooShort.Descriptors));
    }

    [Fact]
    public void A_descriptor_that_is_no_memory_is_refused()
    {
        using var eventFd = new EventFd();
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        using OwnedFd socketFd = Copy(socket.SafeHandle);
        using OwnedFd zero = SharedFile.Open("/dev/zero", ReadWrite);
        using OwnedFd directory = SharedFile.Open("/tmp", ReadOnly);
        using var pipe = new AnonymousPipeServerStream();
        using OwnedFd pipeFd = Copy(pipe.SafePipeHandle);
        using OwnedFd process = SharedFile.Open("/proc/self/mem", ReadWrite);

        Assert.Contains("eventfd", RefusedFd(eventFd.Fd), StringComparison.Ordinal);
        Assert.Contains("a socket", RefusedFd(socketFd), StringComparison.Ordinal);
        Assert.Contains("a character device", RefusedFd(zero), StringComparison.Ordinal);
        Assert.Contains("a directory", RefusedFd(directory), StringComparison.Ordinal);
        Assert.Contains("a pipe", RefusedFd(pipeFd), StringComparison.Ordinal);
        Assert.Contains("procfs", RefusedFd(process), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ReadOnly)]
    [InlineData(WriteOnly)]
    [InlineData(PathOnly)]
    public void A_descriptor_that_is_not_open_for_both_is_refused(int flags)
    {
        using var file = new SharedFile(Page, SharedFile.AllowSealing);
        using OwnedFd other = file.Reopen(flags);

        Assert.Contains("reading and writing", RefusedFd(other), StringComparison.Ordinal);
        Assert.Equal(0, file.Seals);
    }

    [Fact]
    public void A_file_sealed_against_writing_is_refused()
    {
        using var file = new SharedFile(Page, SharedFile.AllowSealing);
        file.AddSeals(SharedFile.SealWrite);

        string reason = Refused(new MemoryRegionLayout(0, Page, 0, 0), file).Reason;

        Assert.Contains("sealed against writing", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_can_be_sealed_cannot_shrink_any_more_once_it_is_mapped()
    {
        using var file = new SharedFile(2 * Page, SharedFile.AllowSealing);
        GuestMemory memory = GuestMemory.Map([(new MemoryRegionLayout(0, Page, 0, 0), file.Fd)]);

        Assert.Equal(SharedFile.SealShrink, file.Seals);
        Assert.Equal(Errno.EPERM, file.Resize(Page).Error);
        Assert.True(file.Resize(4 * Page).Ok);
        file.AddSeals(SharedFile.SealGrow | SharedFile.SealSeal);
        memory.Release();
    }

    [Fact]
    public void A_file_whose_seals_are_settled_is_taken_as_it_is()
    {
        using var file = new SharedFile(2 * Page, SharedFile.AllowSealing);
        file.AddSeals(SharedFile.SealSeal);
        GuestMemory memory = GuestMemory.Map([(new MemoryRegionLayout(0, Page, 0, 0), file.Fd)]);

        Assert.Equal(SharedFile.SealSeal, file.Seals);
        Assert.True(file.Resize(Page).Ok);
        memory.Release();
    }

    [Fact]
    public void A_file_that_is_refused_is_not_sealed()
    {
        using var file = new SharedFile(Page, SharedFile.AllowSealing);

        Refused(new MemoryRegionLayout(0, Page + 1, 0, 0), file);

        Assert.Equal(0, file.Seals);
    }

    private static GuestMemoryException Refused(MemoryRegionLayout layout, SharedFile file) => Refused([layout], file);

    private static GuestMemoryException Refused(MemoryRegionLayout[] layouts, SharedFile file)
    {
        GuestMemoryException refusal = Assert.Throws<GuestMemoryException>(
            () => GuestMemory.Map([.. layouts.Select(layout => (layout, file.Fd))]));
        Assert.Equal((0, 1), (file.Mappings, file.Descriptors));
        return refusal;
    }

    private static OwnedFd Copy(SafeHandle handle)
    {
        using var borrowed = new OwnedFd((int)handle.DangerousGetHandle());
        OwnedFd copy = borrowed.Duplicate();
        borrowed.SetHandleAsInvalid();
        return copy;
    }

    private static string RefusedFd(OwnedFd fd) =>
        Assert.Throws<GuestMemoryException>(() => GuestMemory.Map([(new MemoryRegionLayout(0, Page, 0, 0), fd)])).Reason;
}
