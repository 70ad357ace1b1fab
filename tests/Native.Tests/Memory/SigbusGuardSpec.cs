using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Memory;

/// <summary>Each in a process of its own: where the guard fails, the process dies.</summary>
public sealed unsafe partial class SigbusGuardSpec
{
    private const ulong Size = 64 * SharedFile.Page;
    private const int ExitedByAbort = 134;
    private const int ExitedBySigbus = 135;

    [Fact]
    public void A_file_truncated_under_a_reader_and_a_writer_leaves_the_process_alive() =>
        ChildProcess.MustSucceed(TruncateUnderLoad);

    [Fact]
    public void Other_regions_keep_their_content_when_one_has_vanished() => ChildProcess.MustSucceed(LoseOneOfTwo);

    [Fact]
    public void Pages_that_the_file_still_holds_stay_shared() => ChildProcess.MustSucceed(LoseHalfOfOne);

    [Fact]
    public void Null_references_and_collections_work_after_a_fault() => ChildProcess.MustSucceed(FaultThenUseTheRuntime);

    [Fact]
    public void A_touch_outside_every_region_ends_the_process_as_before()
    {
        ChildResult result = ChildProcess.Run(FaultUnguarded);

        Assert.Equal(ExitedByAbort, result.ExitCode);
        Assert.Contains("AccessViolationException", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_touch_outside_every_region_ends_a_process_that_had_no_handler() =>
        Assert.Equal(ExitedBySigbus, ChildProcess.Run(FaultUnguardedWithoutPreviousHandler).ExitCode);

    [Fact]
    public void A_mapping_is_guarded_no_longer_once_it_is_released() =>
        Assert.Equal(ExitedByAbort, ChildProcess.Run(FaultWhereARegionHasBeen).ExitCode);

    [Fact]
    public void The_whole_region_is_replaced_when_no_mapping_is_left_to_split_with() =>
        ChildProcess.MustSucceed(FaultAtTheLimitOfMappings);

    [Fact]
    public void Many_threads_may_fault_on_one_page_at_once() => ChildProcess.MustSucceed(FaultTogether);

    [Fact]
    public void Slots_come_and_go_while_others_fault() => ChildProcess.MustSucceed(FaultWhileSlotsChange);

    [Fact]
    public void A_system_call_on_lost_memory_fails_without_a_signal() => ChildProcess.MustSucceed(LetTheKernelTouch);

    private static void TruncateUnderLoad()
    {
        using var file = new SharedFile(Size);
        GuestMemory memory = Map(file, 0);
        byte* first = HostOf(memory, 0);
        long rounds = 0;
        bool stop = false;
        var threads = new Thread[] { new(() => Touch(write: false)), new(() => Touch(write: true)) };
        Array.ForEach(threads, thread => thread.Start());
        SpinWait.SpinUntil(() => Volatile.Read(ref rounds) > 100);
        Check(!memory.Faulted, "nothing has faulted before");

        file.Resize(0).OrThrow("ftruncate");

        Check(SpinWait.SpinUntil(() => memory.Faulted, Waiting.Limit), "the fault is seen");
        long then = Volatile.Read(ref rounds);
        Check(SpinWait.SpinUntil(() => Volatile.Read(ref rounds) > then + 100, Waiting.Limit), "the threads go on");
        Volatile.Write(ref stop, true);
        Array.ForEach(threads, thread => thread.Join());
        memory.Release();

        void Touch(bool write)
        {
            for (ulong at = 0; !Volatile.Read(ref stop); at = (at + 509) % Size)
            {
                _ = write ? first[at] = 1 : Volatile.Read(ref first[at]);
                Interlocked.Increment(ref rounds);
            }
        }
    }

    private static void LoseOneOfTwo()
    {
        using var lost = new SharedFile(Size);
        using var kept = new SharedFile(Size);
        GuestMemory first = Map(lost, 0);
        GuestMemory both = first.Add(new MemoryRegionLayout(Size, Size, 1 << 30, 0), kept.Fd);
        GuestMemory other = Map(kept, 0);
        kept.Write(5, [42]);

        lost.Resize(0).OrThrow("ftruncate");
        byte seen = *HostOf(both, 100);

        Check(seen == 0, "zeros take the place");
        Check(first.Faulted && both.Faulted, "both snapshots with the region know");
        Check(!other.Faulted, "a snapshot without it is not concerned");
        Check(*HostOf(both, Size + 5) == 42, "the other region has its content");
        GuestMemory later = both.Remove(first.Regions[0]);
        Check(!later.Faulted, "without the lost region there is no fault");
        Array.ForEach([first, both, other, later], memory => memory.Release());
        Check(lost.Mappings == 0 && kept.Mappings == 0, "nothing stays mapped");
    }

    private static void LoseHalfOfOne()
    {
        using var file = new SharedFile(Size);
        GuestMemory memory = Map(file, 0);

        file.Resize(Size / 2).OrThrow("ftruncate");
        *HostOf(memory, (Size / 2) + 8) = 7;
        *HostOf(memory, (Size / 2) - 1) = 9;

        Check(memory.Faulted, "the fault is seen");
        Check(file.Read((Size / 2) - 1) == 9, "what the file holds is still shared");
        Check(*HostOf(memory, (Size / 2) + 8) == 7, "the page in place of the lost one can be written");
        memory.Release();
        Check(file.Mappings == 0, "nothing stays mapped");
    }

    private static void FaultThenUseTheRuntime()
    {
        using var file = new SharedFile(Size);
        GuestMemory memory = Map(file, 0);
        file.Resize(0).OrThrow("ftruncate");
        for (int i = 0; i < 20; i++)
        {
            *HostOf(memory, (ulong)i * SharedFile.Page) = 1;
            bool caught = false;
            try
            {
                _ = LengthOf(null!);
            }
            catch (NullReferenceException)
            {
                caught = true;
            }

            Check(caught, "a null reference is still an exception");
            byte[][] garbage = [.. Enumerable.Range(0, 100).Select(size => new byte[size * 100])];
            GC.Collect();
            Check(garbage[99].Length == 9900, "the collector works");
        }

        memory.Release();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int LengthOf(string text) => text.Length;

    private static void FaultUnguarded()
    {
        using var guarded = new SharedFile(Size);
        Map(guarded, 0);
        TouchUnguarded();
    }

    private static void FaultUnguardedWithoutPreviousHandler()
    {
        byte* zeros = stackalloc byte[152];
        new Span<byte>(zeros, 152).Clear();
        Sys.Result(sigaction(7, zeros, null)).OrThrow("sigaction");
        FaultUnguarded();
    }

    private static void TouchUnguarded()
    {
        using var file = new SharedFile(Size);
        using FdLease lease = file.Fd.Lease();
        IoResult mapped = MemoryCalls.Map(Size, MemoryCalls.ProtectRead, MemoryCalls.MapShared, lease.Number, 0);
        byte* address = (byte*)mapped.OrThrow("mmap");
        file.Resize(0).OrThrow("ftruncate");
        Console.WriteLine(Volatile.Read(ref *address));
    }

    private static void FaultWhereARegionHasBeen()
    {
        using var file = new SharedFile(Size);
        GuestMemory memory = Map(file, 0);
        byte* address = HostOf(memory, 0);
        memory.Release();
        using FdLease lease = file.Fd.Lease();
        nint again = mmap(address, (nuint)Size, MemoryCalls.ProtectRead, MemoryCalls.MapShared | 0x10, lease.Number, 0);
        Check(again == (nint)address, "the same place is mapped again");
        file.Resize(0).OrThrow("ftruncate");
        Console.WriteLine(Volatile.Read(ref *address));
    }

    /// <summary>
    /// Every second page with another protection is a mapping of its own. The first, small round has everything compiled:
    /// with no mapping left the runtime itself could not go on for long.
    /// </summary>
    private static void FaultAtTheLimitOfMappings()
    {
        FaultAmongMappings(64 * SharedFile.Page, mayFit: true);
        FaultAmongMappings(4ul << 30, mayFit: false);
    }

    private static void FaultAmongMappings(ulong filler, bool mayFit)
    {
        using var file = new SharedFile(Size);
        GuestMemory memory = Map(file, 0);
        byte* middle = HostOf(memory, Size / 2);
        const int Flags = MemoryCalls.MapPrivate | MemoryCalls.MapAnonymous | MemoryCalls.MapNoReserve;
        byte* start = (byte*)MemoryCalls.Map(filler, MemoryCalls.ProtectRead, Flags, -1, 0).OrThrow("mmap");
        file.Resize(0).OrThrow("ftruncate");
        ulong at = 0;
        while (at < filler && MemoryCalls.Protect(start + at, SharedFile.Page, 0).Ok)
        {
            at += 2 * SharedFile.Page;
        }

        *middle = 1;
        MemoryCalls.Unmap(start, filler).OrThrow("munmap");

        Check(mayFit == (at >= filler), "the limit was reached");
        Check(mayFit == (file.Mappings > 0), "no part of the file is mapped any more");
        Check(memory.Faulted, "the fault is seen");
        memory.Release();
    }

    private static void FaultTogether()
    {
        for (int round = 0; round < 50; round++)
        {
            using var file = new SharedFile(SharedFile.Page);
            GuestMemory memory = Map(file, 0, SharedFile.Page);
            byte* address = HostOf(memory, 0);
            file.Resize(0).OrThrow("ftruncate");
            using var barrier = new Barrier(4);
            Thread[] threads = [.. Enumerable.Range(0, 4).Select(_ => new Thread(() =>
            {
                barrier.SignalAndWait();
                Volatile.Read(ref *address);
            }))];
            Array.ForEach(threads, thread => thread.Start());
            Array.ForEach(threads, thread => thread.Join());
            Check(memory.Faulted, "the fault is seen");
            memory.Release();
        }
    }

    private static void FaultWhileSlotsChange()
    {
        bool stop = false;
        using var steady = new SharedFile(Size);
        var churn = new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                GuestMemory[] many = [.. Enumerable.Range(0, 20).Select(_ => Map(steady, 0))];
                Array.ForEach(many, memory => Check(!memory.Faulted, "no flag of another region"));
                Array.ForEach(many, memory => memory.Release());
            }
        });
        churn.Start();
        for (int round = 0; round < 500; round++)
        {
            using var file = new SharedFile(Size);
            GuestMemory memory = Map(file, 0);
            file.Resize(0).OrThrow("ftruncate");
            Check(*HostOf(memory, Size / 2) == 0, "zeros take the place");
            Check(memory.Faulted, "the fault is seen");
            memory.Release();
            Check(file.Mappings == 0, "nothing stays mapped");
        }

        Volatile.Write(ref stop, true);
        churn.Join();
    }

    private static void LetTheKernelTouch()
    {
        using var file = new SharedFile(Size);
        using var sink = new SharedFile(Size);
        GuestMemory memory = Map(file, 0);
        byte* address = HostOf(memory, 0);
        file.Resize(0).OrThrow("ftruncate");
        using FdLease lease = sink.Fd.Lease();

        Check(Sys.Write(lease.Number, address, 8).Error == Errno.EFAULT, "write says EFAULT");
        Check(Sys.Read(lease.Number, address, 8).Error == Errno.EFAULT, "read says EFAULT");
        Check(!memory.Faulted, "no signal was raised");
        memory.Release();
    }

    private static GuestMemory Map(SharedFile file, ulong guestAddress, ulong size = Size) =>
        GuestMemory.Map([(new MemoryRegionLayout(guestAddress, size, guestAddress, 0), file.Fd)]);

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

    [LibraryImport("libc", SetLastError = true)]
    private static partial int sigaction(int signal, byte* action, byte* old);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint mmap(void* address, nuint length, int protection, int flags, int fd, long offset);
}
