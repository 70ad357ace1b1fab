using CsCheck;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Memory;

public sealed class DirtyLogSpec
{
    private const ulong Page = SharedFile.Page;

    [Theory]
    [InlineData(0, 1, 0, 0b1)]
    [InlineData(4095, 1, 0, 0b1)]
    [InlineData(4096, 1, 0, 0b10)]
    [InlineData(4095, 2, 0, 0b11)]
    [InlineData(7 * 4096, 4096, 0, 0b1000_0000)]
    [InlineData(8 * 4096, 4096, 1, 0b1)]
    [InlineData(123 * 4096, 1, 15, 0b1000)]
    [InlineData(64 * 4096, 1, 8, 0b1)]
    public void A_page_is_the_bit_that_the_specification_gives_it(ulong address, ulong length, ulong at, byte bits)
    {
        using var file = new SharedFile(Page);
        DirtyLog log = DirtyLog.Map(Page, 0, file.Fd);

        Assert.True(log.Mark(address, length));

        byte[] content = Content(file, 0, Page);
        Assert.Equal(bits, content[at]);
        Assert.Equal(1, content.Count(each => each != 0));
        log.Release();
    }

    [Fact]
    public void Any_marks_give_what_a_plain_bitmap_would_have() => Gen.Select(
        Gen.ULong[0, 100],
        Gen.ULong[1, 200],
        Gen.Select(Gen.ULong[0, 2000 * Page], Gen.OneOf(Gen.ULong[0, 100], Gen.ULong[0, 300 * Page])).Array[1, 12])
        .Sample(CheckMarks, iter: 300);

    [Fact]
    public void Marks_beyond_the_log_are_reported_and_touch_nothing()
    {
        using var file = new SharedFile(64);
        DirtyLog log = DirtyLog.Map(2, 8, file.Fd);

        Assert.True(log.Mark(15 * Page, Page));
        Assert.False(log.Mark(16 * Page, 1));
        Assert.False(log.Mark(ulong.MaxValue, 1));
        Assert.False(log.Mark(ulong.MaxValue, ulong.MaxValue));
        Assert.True(log.Mark(ulong.MaxValue, 0));

        Assert.Equal([0, 0x80], Content(file, 8, 2));
        Assert.Equal(1, Content(file, 0, 64).Count(each => each != 0));
        Assert.False(log.Mark(0, ulong.MaxValue));
        Assert.Equal([0xff, 0xff], Content(file, 8, 2));
        Assert.Equal(2, Content(file, 0, 64).Count(each => each != 0));
        log.Release();
    }

    [Theory]
    [InlineData(Page, 0, Page + 1, "the file holds")]
    [InlineData(Page, 1, Page, "the file holds")]
    [InlineData(Page, 0, 0, "size is zero")]
    [InlineData(Page, ulong.MaxValue, 2, "wraps around")]
    public void A_log_larger_than_its_file_is_refused(ulong length, ulong offset, ulong size, string reason)
    {
        using var file = new SharedFile(length);

        GuestMemoryException refusal = Assert.Throws<GuestMemoryException>(() => DirtyLog.Map(size, offset, file.Fd));

        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
        Assert.Equal((0, 1), (file.Mappings, file.Descriptors));
    }

    [Fact]
    public void A_descriptor_that_is_no_memory_is_refused()
    {
        using var eventFd = new EventFd();

        Assert.Throws<GuestMemoryException>(() => DirtyLog.Map(1, 0, eventFd.Fd));
    }

    [Fact]
    public void The_last_reference_unmaps_it()
    {
        using var file = new SharedFile(Page);
        DirtyLog log = DirtyLog.Map(Page, 0, file.Fd);
        log.Retain();
        log.Release();

        Assert.Equal((1, 1), (file.Mappings, file.Descriptors));
        log.Release();
        Assert.Equal(0, file.Mappings);
        Assert.Throws<ObjectDisposedException>(log.Retain);
        Assert.Throws<InvalidOperationException>(log.Release);
    }

    [Fact]
    public void Workers_that_mark_neighbouring_pages_lose_no_mark()
    {
        using var file = new SharedFile(Page);
        DirtyLog log = DirtyLog.Map(Page, 0, file.Fd);
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(first => new Thread(() =>
        {
            for (ulong page = (ulong)first; page < Page * 8; page += 4)
            {
                log.Mark(page * Page, 1);
            }
        }))];

        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());

        Assert.All(Content(file, 0, Page), each => Assert.Equal(0xff, each));
        log.Release();
    }

    [Fact]
    public void Marking_allocates_nothing()
    {
        using var file = new SharedFile(Page);
        DirtyLog log = DirtyLog.Map(Page, 0, file.Fd);
        log.Mark(0, 1);
        long before = GC.GetAllocatedBytesForCurrentThread();

        log.Mark(Page, 100 * Page);
        log.Mark(Page, 100 * Page);

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        log.Release();
    }

    [Fact]
    public void A_log_that_vanishes_while_it_is_written_leaves_the_process_alive() => ChildProcess.MustSucceed(LoseTheLog);

    private static void LoseTheLog()
    {
        using var file = new SharedFile(2 * Page);
        DirtyLog log = DirtyLog.Map(2 * Page, 0, file.Fd);
        log.Mark(0, ulong.MaxValue);
        if (log.Faulted)
        {
            throw new InvalidOperationException("It has faulted before it was cut.");
        }

        file.Resize(0).OrThrow("ftruncate");
        log.Mark(0, ulong.MaxValue);
        if (!log.Faulted)
        {
            throw new InvalidOperationException("The fault is not seen.");
        }

        log.Release();
    }

    private static void CheckMarks((ulong Offset, ulong Size, (ulong Address, ulong Length)[] Marks) test)
    {
        using var file = new SharedFile(test.Offset + test.Size + 16);
        var model = new byte[test.Offset + test.Size + 16];
        DirtyLog log = DirtyLog.Map(test.Size, test.Offset, file.Fd);
        foreach ((ulong address, ulong length) in test.Marks)
        {
            bool fits = true;
            for (ulong page = address / Page; length > 0 && page <= (address + length - 1) / Page; page++)
            {
                bool inside = page / 8 < test.Size;
                fits &= inside;
                model[inside ? test.Offset + (page / 8) : 0] |= inside ? (byte)(1 << (int)(page % 8)) : (byte)0;
            }

            Assert.Equal(fits, log.Mark(address, length));
        }

        Assert.Equal(model, Content(file, 0, (ulong)model.Length));
        log.Release();
    }

    private static byte[] Content(SharedFile file, ulong offset, ulong length) =>
        [.. Enumerable.Range(0, (int)length).Select(i => file.Read(offset + (ulong)i))];
}
