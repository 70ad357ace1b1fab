using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Virtio;

/// <summary>The three parts of a split ring in host memory, each wholly inside one mapping.</summary>
internal unsafe struct SplitRingAddresses
{
    internal SplitDescriptor* Descriptors;
    internal byte* Available;
    internal byte* Used;

    /// <summary>
    /// Translates the parts of a ring (virtio 1.3 section 2.7: 16 bytes a descriptor; 6 + 2 bytes an available entry; 6 +
    /// 8 bytes a used one, both with the event index).
    /// </summary>
    /// <returns>Null when all parts are mapped and aligned; else what is wrong.</returns>
    internal static string? Translate(RingPlan plan, GuestView view, out SplitRingAddresses addresses)
    {
        addresses = default;
        ulong size = (ulong)plan.Size;
        if (plan.Size is < 1 or > 32768 || (plan.Size & (plan.Size - 1)) != 0)
        {
            return $"ring size {plan.Size} is not a power of two from 1 to 32768";
        }

        ulong tableLength = SplitDescriptor.Size * size;
        if (!RingPart.TryTranslate(
            view, plan.DescriptorAddress, tableLength, SplitDescriptor.Size, IotlbAccess.ReadOnly, out byte* descriptors))
        {
            return RingPart.Unusable("descriptor table", plan.DescriptorAddress);
        }

        if (!RingPart.TryTranslate(view, plan.DriverAddress, 6 + (2 * size), 2, IotlbAccess.ReadOnly, out addresses.Available))
        {
            return RingPart.Unusable("available ring", plan.DriverAddress);
        }

        if (!RingPart.TryTranslate(view, plan.DeviceAddress, 6 + (8 * size), 4, IotlbAccess.WriteOnly, out addresses.Used))
        {
            return RingPart.Unusable("used ring", plan.DeviceAddress);
        }

        addresses.Descriptors = (SplitDescriptor*)descriptors;
        return null;
    }
}
