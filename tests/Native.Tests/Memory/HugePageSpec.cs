using System.Globalization;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Memory;

/// <summary>Memory on huge pages, which can be mapped, cut and replaced only as a whole.</summary>
public sealed unsafe class HugePageSpec
{
    private const ulong HugePage = 2 << 20;
    private const ulong Page = SharedFile.Page;

    [SkippableFact]
    public void A_region_may_begin_and_end_within_a_huge_page()
    {
        using HugePagePool pool = HugePagePool.Demand(4);
        using var file = new SharedFile(4 * HugePage, SharedFile.HugePages);
        var layout = new MemoryRegionLayout(0, (2 * HugePage) - (2 * Page), 0, HugePage + Page);

        GuestMemory memory = GuestMemory.Map([(layout, file.Fd)]);
        GuestMemory whole = GuestMemory.Map([(new MemoryRegionLayout(0, 4 * HugePage, 0, 0), file.Fd)]);
        *HostOf(memory, 0) = 1;
        *HostOf(memory, layout.Size - 1) = 2;

        Assert.Equal(1, *HostOf(whole, HugePage + Page));
        Assert.Equal(2, *HostOf(whole, (3 * HugePage) - Page - 1));
        memory.Release();
        whole.Release();
        Assert.Equal(0, file.Mappings);
    }

    [SkippableFact]
    public void A_region_beyond_the_last_huge_page_is_refused()
    {
        using HugePagePool pool = HugePagePool.Demand(1);
        using var file = new SharedFile(HugePage, SharedFile.HugePages);

        Assert.Throws<GuestMemoryException>(() => GuestMemory.Map([(new MemoryRegionLayout(0, HugePage, 0, Page), file.Fd)]));

        Assert.Equal(0, file.Mappings);
    }

    [SkippableFact]
    public void A_huge_page_that_vanishes_is_replaced_as_a_whole()
    {
        using HugePagePool pool = HugePagePool.Demand(4);

        ChildProcess.MustSucceed(LoseAHugePage);
    }

    [SkippableFact]
    public void A_region_for_which_the_pool_has_no_page_left_faults_and_the_process_lives()
    {
        using HugePagePool pool = HugePagePool.Demand(1);

        ChildProcess.MustSucceed(TouchMoreThanThePoolHas);
    }

    private static void LoseAHugePage()
    {
        using var file = new SharedFile(4 * HugePage, SharedFile.HugePages);
        GuestMemory memory = GuestMemory.Map([(new MemoryRegionLayout(0, (3 * HugePage) - Page, 0, Page), file.Fd)]);
        *HostOf(memory, 0) = 5;
        *HostOf(memory, 2 * HugePage) = 5;

        file.Resize(HugePage).OrThrow("ftruncate");
        *HostOf(memory, (2 * HugePage) + 12345) = 6;

        Check(memory.Faulted, "the fault is seen");
        Check(*HostOf(memory, 0) == 5, "the page that the file holds is still there");
        Check(*HostOf(memory, 2 * HugePage) == 0, "the whole huge page is zeros");
        Check(*HostOf(memory, (2 * HugePage) + 12345) == 6, "the replacement can be written");
        Check(*HostOf(memory, HugePage) == 0, "the other lost page can be touched too");
        memory.Release();
        Check(file.Mappings == 0, "nothing stays mapped");
    }

    /// <summary>A sparse file that reserves nothing, as virtio-mem has it, larger than any pool.</summary>
    private static void TouchMoreThanThePoolHas()
    {
        ulong pages = HugePagePool.Size + 1;
        using var file = new SharedFile(pages * HugePage, SharedFile.HugePages);
        GuestMemory memory = GuestMemory.Map([(new MemoryRegionLayout(0, pages * HugePage, 0, 0), file.Fd)]);

        for (ulong page = 0; page < pages; page++)
        {
            *HostOf(memory, page * HugePage) = 1;
        }

        Check(memory.Faulted, "the fault is seen");
        memory.Release();
        Check(file.Mappings == 0, "nothing stays mapped");
    }

    private static byte* HostOf(GuestMemory memory, ulong guestAddress)
    {
        Check(memory.TryTranslate(guestAddress, 1, out byte* host, out _), "the address is mapped");
        return host;
    }

    private static void Check(bool held, string what)
    {
        if (!held)
        {
            throw new InvalidOperationException("Not so: " + what);
        }
    }

    /// <summary>Adds huge pages to the machine's pool and takes as many out again: others may do the same meanwhile.</summary>
    private sealed class HugePagePool : IDisposable
    {
        private const string Setting = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
        private readonly ulong _pages;

        private HugePagePool(ulong pages)
        {
            _pages = pages;
            Size += pages;
        }

        internal static ulong Size
        {
            get => ulong.Parse(File.ReadAllText(Setting), CultureInfo.InvariantCulture);
            private set => File.WriteAllText(Setting, value.ToString(CultureInfo.InvariantCulture));
        }

        internal static HugePagePool Demand(ulong pages)
        {
            Requirement.Demand(
                Environment.IsPrivilegedProcess && File.Exists(Setting),
                "only root can add huge pages, where the kernel has them: run as root");
            ulong wanted = Size + pages;
            var pool = new HugePagePool(pages);
            ulong got = Size;
            if (got < wanted)
            {
                pool.Dispose();
            }

            Requirement.Demand(got >= wanted, "the machine has no memory left for huge pages");
            return pool;
        }

        public void Dispose() => Size -= Math.Min(Size, _pages);
    }
}
