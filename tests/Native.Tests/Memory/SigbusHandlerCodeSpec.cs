using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Memory;

/// <summary>The handler as a function: a copy of its code with a table of its own, called with signals that never were.</summary>
public sealed unsafe class SigbusHandlerCodeSpec : IDisposable
{
    private const string Source = "../../../src/Native/Memory/SigbusHandlerCode.cs";
    private const ulong Page = SharedFile.Page;
    private const int PageNotInFile = 2;
    private const int BadMemory = 4;
    private const int Queued = -1;
    private const int Unaligned = 1;
    private const ulong CopyLength = SigbusTable.Offset + 4096;
    private const ulong MemoryLength = 8 * Page;

    [ThreadStatic]
    private static (int Signal, nint Information, nint Context)? _passedOn;

    private readonly byte* _copy = Anonymous(CopyLength);
    private readonly byte* _memory = Anonymous(MemoryLength);
    private readonly SigbusTable* _table;
    private readonly SigbusSlot* _slots;

    public SigbusHandlerCodeSpec()
    {
        SigbusHandlerCode.Native.CopyTo(new Span<byte>(_copy, SigbusTable.Offset));
        MemoryCalls.Protect(_copy, SigbusTable.Offset, MemoryCalls.ProtectRead | MemoryCalls.ProtectExecute).OrThrow("mprotect");
        _table = (SigbusTable*)(_copy + SigbusTable.Offset);
        _slots = (SigbusSlot*)(_table + 1);
        _table->Previous = (nint)(delegate* unmanaged<int, nint, nint, void>)&Previous;
        new Span<byte>(_memory, (int)MemoryLength).Fill(0xee);
        _passedOn = null;
    }

    public void Dispose()
    {
        MemoryCalls.Unmap(_copy, CopyLength).OrThrow("munmap");
        MemoryCalls.Unmap(_memory, MemoryLength).OrThrow("munmap");
    }

    [SkippableFact]
    public void The_x64_bytes_are_what_their_listing_assembles_to()
    {
        Requirement.Program("as", "apt-get install binutils");
        Skip.IfNot(RuntimeInformation.ProcessArchitecture == Architecture.X64, "the assembler here is not one for x86-64");
        using var assembler = new Assembler("");
        string listing = Assembler.Listing(
            nameof(SigbusHandlerCode.X64), ".intel_syntax noprefix\nhandler:\n.set table, handler + 0x10000\n", Source);

        Assert.Equal(assembler.Assemble(listing), SigbusHandlerCode.X64.ToArray());
    }

    [SkippableFact]
    public void The_arm64_bytes_are_what_their_listing_assembles_to()
    {
        Requirement.Program("aarch64-linux-gnu-as", "apt-get install binutils-aarch64-linux-gnu");
        using var assembler = new Assembler("aarch64-linux-gnu-");
        string listing = Assembler.Listing(
            nameof(SigbusHandlerCode.Arm64), ".arch armv8.5-a\nhandler:\n.set table, handler + 0x10000\n", Source);

        Assert.Equal(assembler.Assemble(listing), SigbusHandlerCode.Arm64.ToArray());
    }

    [SkippableFact]
    public void The_arm64_handler_replaces_a_lost_page_and_passes_other_signals_on()
    {
        Requirement.Program("aarch64-linux-gnu-as", "apt-get install binutils-aarch64-linux-gnu");
        Requirement.Program("qemu-aarch64", "apt-get install qemu-user");
        using var assembler = new Assembler("aarch64-linux-gnu-");
        File.WriteAllBytes(assembler.PathOf("handler.bin"), SigbusHandlerCode.Arm64);
        string program = assembler.Link(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Memory/SigbusHandler.arm64.s")));

        Assert.Equal(0, Assembler.Execute("qemu-aarch64", program));
    }

    [Fact]
    public void The_table_lies_where_the_code_looks_for_it()
    {
        Assert.Equal(64, sizeof(SigbusTable));
        Assert.Equal(64, sizeof(SigbusSlot));
        Assert.Equal([0, 8, 16], Offsets<SigbusTable>("Previous", "SlotsInUse", "Faults"));
        Assert.Equal([0, 8, 16, 24, 32], Offsets<SigbusSlot>("Sequence", "Start", "Length", "PageSize", "Faulted"));
    }

    [Theory]
    [InlineData(PageNotInFile)]
    [InlineData(BadMemory)]
    public void A_fault_within_a_slot_replaces_that_page_alone(int code)
    {
        Guard(0, _memory, MemoryLength, Page);

        Raise(_memory + (3 * Page) + 17, code);

        Assert.Equal([3], ReplacedPages());
        Assert.Equal(1, _slots[0].Faulted);
        Assert.Equal(1, _table->Faults);
        Assert.Null(_passedOn);
    }

    [Fact]
    public void A_large_page_is_replaced_as_a_whole()
    {
        byte* aligned = (byte*)(((ulong)_memory + (4 * Page) - 1) / (4 * Page) * (4 * Page));
        Guard(0, aligned, 4 * Page, 4 * Page);

        Raise(aligned + (3 * Page) + 1, PageNotInFile);

        int first = (int)((ulong)(aligned - _memory) / Page);
        Assert.Equal([first, first + 1, first + 2, first + 3], ReplacedPages());
    }

    [Fact]
    public void The_first_and_the_last_byte_of_a_slot_belong_to_it()
    {
        Guard(0, _memory + Page, 6 * Page, Page);

        Raise(_memory + Page, PageNotInFile);
        Raise(_memory + (7 * Page) - 1, PageNotInFile);

        Assert.Equal([1, 6], ReplacedPages());
        Assert.Equal(2, _table->Faults);
    }

    [Fact]
    public void A_fault_beside_a_slot_is_passed_on()
    {
        Guard(0, _memory + Page, 6 * Page, Page);

        AssertPassedOn(_memory + Page - 1, PageNotInFile);
        AssertPassedOn(_memory + (7 * Page), PageNotInFile);
    }

    [Theory]
    [InlineData(Queued)]
    [InlineData(0)]
    [InlineData(Unaligned)]
    [InlineData(3)]
    [InlineData(5)]
    public void A_signal_that_is_no_lost_page_is_passed_on(int code)
    {
        Guard(0, _memory, MemoryLength, Page);

        AssertPassedOn(_memory, code);
    }

    [Fact]
    public void A_slot_that_is_being_changed_is_skipped()
    {
        Guard(0, _memory, MemoryLength, Page);
        _slots[0].Sequence++;

        AssertPassedOn(_memory, PageNotInFile);
    }

    [Fact]
    public void A_slot_that_is_not_in_use_is_not_looked_at()
    {
        Guard(0, _memory, MemoryLength, Page);
        _table->SlotsInUse = 0;

        AssertPassedOn(_memory, PageNotInFile);
    }

    [Fact]
    public void The_right_slot_among_many_is_found()
    {
        for (int i = 0; i < 8; i++)
        {
            Guard(i, _memory + ((ulong)i * Page), Page, Page);
        }

        Raise(_memory + (5 * Page) + 8, PageNotInFile);

        Assert.Equal([5], ReplacedPages());
        Assert.Equal(5, Enumerable.Range(0, 8).Single(i => _slots[i].Faulted != 0));
    }

    [Fact]
    public void A_place_that_cannot_be_replaced_is_passed_on_with_all_arguments()
    {
        Guard(0, _memory + 1, Page, 1); // no mapping can begin there

        AssertPassedOn(_memory + 5, PageNotInFile, faults: 1);
    }

    [UnmanagedCallersOnly]
    private static void Previous(int signal, nint information, nint context) => _passedOn = (signal, information, context);

    private static byte* Anonymous(ulong length)
    {
        const int Flags = MemoryCalls.MapPrivate | MemoryCalls.MapAnonymous;
        return (byte*)MemoryCalls.Map(length, MemoryCalls.ProtectRead | MemoryCalls.ProtectWrite, Flags, -1, 0).OrThrow("mmap");
    }

    private static int[] Offsets<T>(params string[] fields) => [.. fields.Select(field => (int)Marshal.OffsetOf<T>(field))];

    private void Guard(int slot, byte* start, ulong length, ulong pageSize)
    {
        _slots[slot] = new SigbusSlot { Sequence = 2, Start = (ulong)start, Length = length, PageSize = pageSize };
        _table->SlotsInUse = Math.Max(_table->SlotsInUse, slot + 1);
    }

    private void AssertPassedOn(byte* address, int code, long faults = 0)
    {
        _passedOn = null;
        (nint information, nint context) = Raise(address, code);

        Assert.Equal((7, information, context), _passedOn);
        Assert.Empty(ReplacedPages());
        Assert.Equal(faults, _table->Faults);
    }

    private (nint Information, nint Context) Raise(byte* address, int code)
    {
        byte* information = stackalloc byte[128];
        byte* context = stackalloc byte[16];
        Unsafe.InitBlock(information, 0, 128);
        *(int*)information = 7;
        *(int*)(information + 8) = code;
        *(byte**)(information + 16) = address;
        ((delegate* unmanaged<int, byte*, byte*, void>)_copy)(7, information, context);
        return ((nint)information, (nint)context);
    }

    private int[] ReplacedPages()
    {
        byte* memory = _memory;
        return [.. Enumerable.Range(0, (int)(MemoryLength / Page)).Where(page => memory[(ulong)page * Page] == 0)];
    }
}
