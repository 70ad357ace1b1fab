using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Ringmaster.Native.Memory;

/// <summary>
/// Hints to the CPU that memory will be needed soon, so that the wait for it overlaps with other work. A hint is dropped
/// where it cannot be met: it never faults, whatever the address, and changes nothing that a program can see. Where .NET has
/// no such instruction (arm64) it does nothing.
/// </summary>
internal static unsafe class CpuCache
{
    private const uint LineSize = 64;

    /// <summary>Asks for <paramref name="length"/> bytes from <paramref name="first"/> on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Prefetch(byte* first, uint length)
    {
        if (Sse.IsSupported)
        {
            byte* end = first + length;
            for (byte* line = first; line < end; line += LineSize)
            {
                Sse.Prefetch0(line);
            }
        }
    }
}
