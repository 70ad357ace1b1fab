using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Memory;

/// <summary>
/// Keeps the process alive when memory that a front-end shares vanishes under it. A touch of a page that the file no longer
/// holds (or cannot provide: disk or huge page pool full) raises SIGBUS, which the runtime answers by ending the
/// process. Inside the mappings registered here, and nowhere else, the signal instead puts a private page of zeros at the place;
/// the thread that touched goes on and finds the region flagged.
/// </summary>
/// <remarks>
/// <list type="bullet">
/// <item>Installed once, with the first registration, over the runtime's handler and with its mask and flags; every other
/// SIGBUS goes on to that.</item>
/// <item>The page replaced is the mapping's own (a huge page cannot be cut). When the process has no mapping left to split
/// with, the whole mapping is replaced.</item>
/// <item>Two threads that touch one lost page both replace it; what the first wrote in between is lost with it.</item>
/// <item>System calls on lost memory raise no signal: they return EFAULT, and the flag stays as it is.</item>
/// <item>A mapping is registered before anyone can touch it, and taken out when nobody can any more, before munmap: so the
/// handler never maps into a place that is being unmapped.</item>
/// </list>
/// </remarks>
internal static unsafe partial class SigbusGuard
{
    private const int SigBus = 7;
    private const int SigInfo = 0x4;
    private const nint SigIgnore = 1;

    private static readonly Lock Gate = new();
    private static readonly Stack<int> FreeSlots = new();
    private static readonly SigbusTable* Table = Install(SigbusHandlerCode.Native, out WhyNot);
    private static readonly string? WhyNot;

    /// <summary>Why lost memory would end the process after all; null when the handler is in place.</summary>
    internal static string? Problem => WhyNot;

    /// <summary>
    /// How often the handler has replaced memory since the process began. As long as it does not move no mapping has faulted
    /// anew: the cheap question before looking at each.
    /// </summary>
    internal static long Faults
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Table == null ? 0 : Volatile.Read(ref Table->Faults);
    }

    /// <summary>Guards a mapping. It must stay mapped until <see cref="Unregister"/>.</summary>
    /// <param name="start">First byte, aligned to the page size.</param>
    /// <param name="length">Bytes, a multiple of the page size.</param>
    /// <param name="pageSize">The mapping's page size.</param>
    /// <returns>The mapping's slot, or null when no slot is left or there is no handler (<see cref="Problem"/>).</returns>
    internal static SigbusSlot* Register(byte* start, ulong length, ulong pageSize)
    {
        lock (Gate)
        {
            if (Table == null || !TryTakeSlot(out int index))
            {
                return null;
            }

            SigbusSlot* slot = SlotAt(index);
            Change(slot, (ulong)start, length, pageSize);
            Table->SlotsInUse = Math.Max(Table->SlotsInUse, index + 1);
            return slot;
        }
    }

    /// <summary>Ends the guard of a mapping that nobody touches any more. To be called before munmap.</summary>
    /// <returns>Whether the mapping had faulted.</returns>
    internal static bool Unregister(SigbusSlot* slot)
    {
        lock (Gate)
        {
            bool faulted = Volatile.Read(ref slot->Faulted) != 0;
            Change(slot, 0, 0, 0);
            FreeSlots.Push((int)(slot - SlotAt(0)));
            return faulted;
        }
    }

    /// <summary>Readers are signal handlers on any thread; <see cref="SigbusSlot"/> says why they may skip.</summary>
    private static void Change(SigbusSlot* slot, ulong start, ulong length, ulong pageSize)
    {
        slot->Sequence++;
        Interlocked.MemoryBarrier(); // the odd number before any of the words
        slot->Start = start;
        slot->Length = length;
        slot->PageSize = pageSize;
        slot->Faulted = 0;
        Volatile.Write(ref slot->Sequence, slot->Sequence + 1); // the words before the even number
    }

    private static bool TryTakeSlot(out int index)
    {
        if (FreeSlots.TryPop(out index))
        {
            return true;
        }

        index = (int)Table->SlotsInUse;
        return index < SigbusTable.Slots;
    }

    private static SigbusSlot* SlotAt(int index) => (SigbusSlot*)(Table + 1) + index;

    /// <summary>Code and table are one mapping that lives as long as the process; the code part ends up executable.</summary>
    private static SigbusTable* Install(ReadOnlySpan<byte> code, out string? problem)
    {
        if (code.IsEmpty)
        {
            problem = $"there is no SIGBUS handler for {RuntimeInformation.ProcessArchitecture}";
            return null;
        }

        ulong length = SigbusTable.Offset + (ulong)sizeof(SigbusTable) + (SigbusTable.Slots * (ulong)sizeof(SigbusSlot));
        int readWrite = MemoryCalls.ProtectRead | MemoryCalls.ProtectWrite;
        int flags = MemoryCalls.MapPrivate | MemoryCalls.MapAnonymous | MemoryCalls.MapNoReserve;
        IoResult mapped = MemoryCalls.Map(length, readWrite, flags, -1, 0);
        if (!mapped.Ok)
        {
            problem = "mmap for the SIGBUS handler: " + Errno.Describe(mapped.Error);
            return null;
        }

        byte* start = (byte*)mapped.Count;
        code.CopyTo(new Span<byte>(start, SigbusTable.Offset));

        // On arm64 the kernel synchronises the instruction cache when a page that was never executable becomes so.
        IoResult result = MemoryCalls.Protect(start, SigbusTable.Offset, MemoryCalls.ProtectRead | MemoryCalls.ProtectExecute);
        var table = (SigbusTable*)(start + SigbusTable.Offset);
        result = result.Ok ? Activate((nint)start, table) : result;
        if (!result.Ok)
        {
            problem = "installing the SIGBUS handler: " + Errno.Describe(result.Error);
            MemoryCalls.Unmap(start, length);
            return null;
        }

        problem = null;
        return table;
    }

    /// <summary>
    /// Takes the place of the present handler, with its mask and flags, so that it finds what it expects when a signal goes
    /// on to it. Above all not SA_ONSTACK: the runtime turns a SIGBUS into an exception right on the stack that it came on
    /// and would overflow the small alternate one.
    /// </summary>
    private static IoResult Activate(nint handler, SigbusTable* table)
    {
        SignalAction action;
        IoResult result = Sys.Result(sigaction(SigBus, null, &action));
        if (!result.Ok)
        {
            return result;
        }

        table->Previous = action.Handler <= SigIgnore && action.Handler >= 0 ? 0 : action.Handler;
        action.Handler = handler;
        action.Flags |= SigInfo;
        return Sys.Result(sigaction(SigBus, &action, null));
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int sigaction(int signal, SignalAction* action, SignalAction* old);

    /// <summary>The C library's struct sigaction on 64-bit Linux (glibc and musl alike): the mask is 128 bytes at 8.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 152)]
    private struct SignalAction
    {
        [FieldOffset(0)]
        internal nint Handler;

        [FieldOffset(136)]
        internal int Flags;
    }
}
