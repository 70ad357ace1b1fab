using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Virtio;

/// <summary>One of the parts that a ring of either format consists of, as the front-end says where it lies.</summary>
internal static unsafe class RingPart
{
    /// <summary>Translates a part; false when it is not aligned, here or there, or not wholly in one piece of memory.</summary>
    /// <param name="view">What there is of the guest.</param>
    /// <param name="address">The front-end's virtual address; behind an IOMMU an IO virtual address.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="alignment">Of the address.</param>
    /// <param name="access">What the device does there.</param>
    /// <param name="host">Where it lies here.</param>
    internal static bool TryTranslate(
        GuestView view,
        ulong address,
        ulong length,
        ulong alignment,
        IotlbAccess access,
        out byte* host)
    {
        host = null;
        bool found = view.Iotlb is { } iotlb
            ? TryTranslate(iotlb, view.Memory, address, length, access, out host)
            : view.Memory.TryTranslateUser(address, length, out host);
        return address % alignment == 0 && found && (ulong)host % alignment == 0;
    }

    private static bool TryTranslate(
        Iotlb iotlb,
        GuestMemory memory,
        ulong iova,
        ulong length,
        IotlbAccess access,
        out byte* host)
    {
        host = null;
        for (ulong done = 0; done < length;)
        {
            ulong at = iova + done;
            if (!iotlb.TryFind(at, access, out IotlbEntry entry))
            {
                return false;
            }

            ulong offset = at - entry.Iova;
            ulong piece = Math.Min(length - done, entry.Size - offset);
            if (!memory.TryTranslateUser(entry.UserAddress + offset, piece, out byte* found)
                || (done > 0 && found != host + done))
            {
                return false;
            }

            host = done == 0 ? found : host;
            done += piece;
        }

        return true;
    }

    /// <summary>What to say when it cannot be translated.</summary>
    internal static string Unusable(string part, ulong userAddress) =>
        $"the {part} at 0x{userAddress:x} is not aligned or not wholly in the front-end's memory";
}
