using System.Runtime.InteropServices;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Support;
using static Ringmaster.Native.Memory.UserfaultCalls;

namespace Ringmaster.Native.Tests.Memory;

/// <summary>Guest memory whose pages are still to come.</summary>
public sealed unsafe class UserfaultSpec : IDisposable
{
    private const int Pages = 64;
    private const int Page = 4096;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    private readonly GuestRam _ram = new(new GuestRamOptions { Pieces = [new RamPiece(0x10000, Pages * Page)] });
    private readonly Userfault? _faults;
    private readonly string? _problem;

    public UserfaultSpec() => _faults = Userfault.TryOpen(out _problem);

    public void Dispose()
    {
        _faults?.Dispose();
        _ram.Dispose();
    }

    [SkippableFact]
    public void Numbers_and_layouts_are_those_of_the_kernels_header() => CHeaders.Agree(
        ["linux/userfaultfd.h", "sys/ioctl.h", "sys/syscall.h", "fcntl.h", "sys/mman.h"],
        ("UFFDIO_API", (long)ApiRequest),
        ("UFFDIO_REGISTER", (long)RegisterRequest),
        ("UFFDIO_UNREGISTER", (long)UnregisterRequest),
        ("UFFDIO_WAKE", 0x8010aa02),
        ("UFFD_API", (long)Api),
        ("UFFD_USER_MODE_ONLY", UserModeOnly),
        ("UFFDIO_REGISTER_MODE_MISSING", (long)ModeMissing),
        ("_UFFDIO_WAKE", WakeBit),
        ("UFFD_EVENT_PAGEFAULT", 0x12),
        ("MADV_NOHUGEPAGE", MemoryCalls.AdviseNoHugePage),
        ("SYS_userfaultfd", Number),
        ("O_CLOEXEC", 0x80000),
        ("sizeof(struct uffdio_api)", sizeof(ApiArguments)),
        ("offsetof(struct uffdio_api, features)", Marshal.OffsetOf<ApiArguments>(nameof(ApiArguments.Features))),
        ("offsetof(struct uffdio_api, ioctls)", Marshal.OffsetOf<ApiArguments>(nameof(ApiArguments.Ioctls))),
        ("sizeof(struct uffdio_range)", sizeof(RangeArguments)),
        ("offsetof(struct uffdio_range, len)", Marshal.OffsetOf<RangeArguments>(nameof(RangeArguments.Length))),
        ("sizeof(struct uffdio_register)", sizeof(RegisterArguments)),
        ("offsetof(struct uffdio_register, range.len)", Marshal.OffsetOf<RegisterArguments>(nameof(RegisterArguments.Length))),
        ("offsetof(struct uffdio_register, mode)", Marshal.OffsetOf<RegisterArguments>(nameof(RegisterArguments.Mode))),
        ("offsetof(struct uffdio_register, ioctls)", Marshal.OffsetOf<RegisterArguments>(nameof(RegisterArguments.Ioctls))),
        ("sizeof(struct uffd_msg)", 32),
        ("offsetof(struct uffd_msg, arg.pagefault.address)", 16));

    [SkippableFact]
    public void Whoever_translates_an_address_finds_the_page_that_was_brought()
    {
        _ram.Bytes(0x10000, Pages * Page).Fill(0x5a);
        IReadOnlyList<byte[]> contents = _ram.Evict();
        GuestMemory memory = Map();
        using PageServer server = new(_ram, contents, [.. memory.FaultBases.Values], _faults!.Fd.Duplicate());
        var cache = new TranslationCache(memory);

        foreach (ulong address in new ulong[] { 0x10000, 0x10000 + (5 * Page) - 1, 0x10000 + (5 * Page) - 1 })
        {
            Assert.True(cache.TryTranslate(address, 2, out byte* host, out ulong available));
            Assert.Equal((0x5a5a, 2UL), (*(ushort*)host, available));
        }

        // Three pages: the first; the fourth and the fifth, once.
        Assert.Equal(3, server.PagesWanted);
        memory.Release();
    }

    [SkippableFact]
    public void A_thread_that_waits_for_a_page_holds_up_no_garbage_collection()
    {
        IReadOnlyList<byte[]> contents = _ram.Evict();
        GuestMemory memory = Map();
        using PageServer server = new(_ram, contents, [.. memory.FaultBases.Values], _faults!.Fd.Duplicate());
        server.Brings = false;
        Thread waiting = Touch(memory, 0x10000);
        Assert.True(server.WaitForFault(Timeout));

        Task collected = Task.Run(() => GC.Collect());

        Assert.True(collected.Wait(Timeout), "the collection waits for the thread");
        Assert.True(waiting.IsAlive);
        server.Brings = true;
        Assert.True(waiting.Join(Timeout));
        memory.Release();
    }

    [SkippableFact]
    public void When_it_is_disarmed_nobody_waits_any_more_although_somebody_holds_its_other_end()
    {
        _ram.Evict();
        GuestMemory memory = Map();
        using OwnedFd other = _faults!.Fd.Duplicate();
        Thread waiting = Touch(memory, 0x10000);
        Assert.True(FdWait.For(other, FdWait.In, Timeout));

        _faults.Disarm();

        Assert.True(waiting.Join(Timeout));
        Assert.True(Touch(memory, 0x10000 + Page).Join(Timeout));
        memory.Release();
    }

    [SkippableFact]
    public void A_page_that_is_taken_out_again_is_one_of_zeros_and_nobody_waits()
    {
        _ram.Bytes(0x10000, Pages * Page).Fill(0x5a);
        IReadOnlyList<byte[]> contents = _ram.Evict();
        GuestMemory memory = Map();
        using PageServer server = new(_ram, contents, [.. memory.FaultBases.Values], _faults!.Fd.Duplicate());
        Assert.True(memory.TryTranslate(0x10000, Page, out byte* host, out _));
        Assert.Equal(0x5a, *host);

        _ram.Evict();

        Assert.Equal(0, *host);
        memory.Release();
    }

    [SkippableFact]
    public void Once_all_pages_have_come_the_table_is_like_any_other()
    {
        GuestMemory memory = Map();
        GuestMemory whole = memory.WithAllPages();
        memory.Release();

        Assert.False(whole.AwaitsPages);
        Assert.Empty(whole.FaultBases);
        Assert.True(whole.TryTranslate(0x10000, Page, out byte* host, out _));
        Assert.Equal(0, *host);
        whole.Release();
    }

    private GuestMemory Map()
    {
        Requirement.Demand(_faults is not null, $"the kernel has no userfaultfd for this process: {_problem}");
        return GuestMemory.Map([(_ram.Regions[0], _ram.FileOf(0))], _faults);
    }

    private static Thread Touch(GuestMemory memory, ulong address)
    {
        Thread thread = new(() => memory.TryTranslate(address, 1, out _, out _)) { IsBackground = true };
        thread.Start();
        return thread;
    }
}
