using System.Runtime.InteropServices;

namespace Ringmaster.Native.Memory;

/// <summary>
/// What the handler reads, in unmanaged memory 64 KiB behind its code. The offsets are written into the machine code.
/// </summary>
/// <remarks>
/// <code>
///    0  the handler before ours, 0 = none        16  faults so far       32..63  a struct sigaction of zeros: SIG_DFL
///    8  slots in use, never fewer than before    64  first slot (64 bytes each)
/// </code>
/// Faults is written by the handler and read by everyone; the rest is written under the guard's lock alone.
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = 64)]
internal struct SigbusTable
{
    /// <summary>Distance from the handler's first byte; a multiple of every page size of x86-64 and arm64.</summary>
    internal const int Offset = 0x10000;

    /// <summary>How many mappings can be guarded. The kernel's own limit of mappings (vm.max_map_count) is below it.</summary>
    internal const int Slots = 65536;

    [FieldOffset(0)]
    internal nint Previous;

    [FieldOffset(8)]
    internal long SlotsInUse;

    [FieldOffset(16)]
    internal long Faults;
}

/// <summary>One guarded mapping.</summary>
/// <remarks>
/// A seqlock: the writer makes the sequence odd, changes the words, makes it even again. The handler skips a slot that is
/// odd or changed while it was read. It can afford to: the slot of the memory that just faulted does not change, because
/// it is filled before a pointer into the memory is given out and cleared after the last holder has gone.
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = 64)]
internal struct SigbusSlot
{
    [FieldOffset(0)]
    internal long Sequence;

    /// <summary>The mapping's first byte, aligned to its page size.</summary>
    [FieldOffset(8)]
    internal ulong Start;

    /// <summary>Bytes; 0 = the slot is free.</summary>
    [FieldOffset(16)]
    internal ulong Length;

    /// <summary>What a fault replaces: a power of two.</summary>
    [FieldOffset(24)]
    internal ulong PageSize;

    /// <summary>1 once the handler has replaced something.</summary>
    [FieldOffset(32)]
    internal long Faulted;
}
