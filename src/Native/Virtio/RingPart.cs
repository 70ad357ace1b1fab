using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Virtio;

/// <summary>One of the parts that a ring of either format consists of, as the front-end says where it lies.</summary>
internal static unsafe class RingPart
{
    /// <summary>Translates a part; false when it is not aligned, here or there, or not wholly in one piece of memory.</summary>
    internal static bool TryTranslate(GuestMemory memory, ulong userAddress, ulong length, ulong alignment, out byte* host)
    {
        host = null;
        return userAddress % alignment == 0
            && memory.TryTranslateUser(userAddress, length, out host)
            && (ulong)host % alignment == 0;
    }

    /// <summary>What to say when it cannot be translated.</summary>
    internal static string Unusable(string part, ulong userAddress) =>
        $"the {part} at 0x{userAddress:x} is not aligned or not wholly in the front-end's memory";
}
