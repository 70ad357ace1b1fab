using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Virtio;

/// <summary>What a ring behind an IOMMU needs translated before it can run: its own three parts.</summary>
internal static class RingTranslation
{
    /// <summary>
    /// The first address of the ring's parts that the IOTLB does not know, or not for what is to be done there; null when there
    /// is none. A front-end may give each page for no more than what was asked, so what it gave before is asked for again.
    /// </summary>
    internal static IotlbMiss? FirstMissing(RingPlan plan, GuestView view)
    {
        if (view.Iotlb is not { } iotlb)
        {
            return null;
        }

        ulong size = (ulong)plan.Size;
        return plan.Features.HasFlag(VirtioFeatures.RingPacked)
            ? FirstMissing(iotlb, plan.DescriptorAddress, 16 * size, IotlbAccess.ReadWrite)
                ?? FirstMissing(iotlb, plan.DriverAddress, 4, IotlbAccess.ReadOnly)
                ?? FirstMissing(iotlb, plan.DeviceAddress, 4, IotlbAccess.WriteOnly)
            : FirstMissing(iotlb, plan.DescriptorAddress, 16 * size, IotlbAccess.ReadOnly)
                ?? FirstMissing(iotlb, plan.DriverAddress, 6 + (2 * size), IotlbAccess.ReadOnly)
                ?? FirstMissing(iotlb, plan.DeviceAddress, 6 + (8 * size), IotlbAccess.WriteOnly);
    }

    private static IotlbMiss? FirstMissing(Iotlb iotlb, ulong iova, ulong length, IotlbAccess access)
    {
        while (length > 0)
        {
            if (!iotlb.TryFind(iova, access, out IotlbEntry entry))
            {
                return new IotlbMiss(iova, access | entry.Access);
            }

            ulong piece = Math.Min(length, entry.Size - (iova - entry.Iova));
            iova += piece;
            length -= piece;
        }

        return null;
    }
}
