namespace Ringmaster.Native.Memory;

/// <summary>
/// Marks in the log of a migration what was written by IO virtual address: the log counts guest-physical pages. Used while a
/// guest migrates, not on the hot path; the translations are those by which the bytes were written a moment ago.
/// </summary>
internal static class IovaMarks
{
    /// <summary>Marks bytes. What has no translation was not written and is passed over.</summary>
    internal static void Mark(DirtyLog log, GuestMemory memory, Iotlb iotlb, ulong iova, ulong length)
    {
        while (length > 0 && iotlb.TryFind(iova, out IotlbEntry entry))
        {
            ulong user = entry.UserAddress + (iova - entry.Iova);
            if (!memory.TryFindUser(user, out AddressRange region) || !memory.TryToGuestAddress(user, out ulong guestAddress))
            {
                return;
            }

            ulong piece = Math.Min(entry.Size - (iova - entry.Iova), region.Size - (user - region.Start));
            piece = Math.Min(piece, length);
            log.Mark(guestAddress, piece);
            iova += piece;
            length -= piece;
        }
    }
}
