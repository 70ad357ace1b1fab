using System.Runtime.CompilerServices;
using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Virtio;

/// <summary>
/// One ring's window on guest memory: the table and the region of the last hit, so that a run of buffers in the same
/// region costs a compare each. A struct held by value in the ring; the worker's thread only. Holds no reference: the
/// worker keeps the table alive.
/// </summary>
internal unsafe struct MemoryView
{
    private readonly GuestMemory _memory;

    internal MemoryView(GuestMemory memory) => _memory = memory;

    /// <summary>See <see cref="GuestMemory.TryTranslate"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryTranslate(ulong address, ulong length, out byte* host, out ulong available) =>
        _memory.TryTranslate(address, length, out host, out available);

    /// <summary>Copies guest memory, which may span regions, into a local buffer: read once, check the copy.</summary>
    /// <returns>False when a byte of it is not mapped.</returns>
    internal bool TryRead(ulong address, void* destination, int length)
    {
        byte* to = (byte*)destination;
        while (length > 0)
        {
            if (!TryTranslate(address, (ulong)length, out byte* host, out ulong available))
            {
                return false;
            }

            Unsafe.CopyBlockUnaligned(to, host, (uint)available);
            to += available;
            address += available;
            length -= (int)available;
        }

        return true;
    }
}
