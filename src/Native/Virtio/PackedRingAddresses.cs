using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Virtio;

/// <summary>The three parts of a packed ring in host memory, each wholly inside one mapping.</summary>
internal unsafe struct PackedRingAddresses
{
    private const int EventSize = 4;

    internal PackedDescriptor* Descriptors;
    internal uint* DriverEvent;
    internal uint* DeviceEvent;

    /// <summary>
    /// Translates the parts of a ring (virtio 1.3 section 2.8.10): 16 bytes a descriptor, aligned to 16; 4 bytes of event
    /// suppression for each side, aligned to 4.
    /// </summary>
    /// <returns>Null when all parts are mapped and aligned; else what is wrong.</returns>
    internal static string? Translate(RingPlan plan, GuestView view, out PackedRingAddresses addresses)
    {
        addresses = default;
        if (plan.Size is < 1 or > 32768)
        {
            return $"ring size {plan.Size} is not from 1 to 32768";
        }

        ulong length = PackedDescriptor.Size * (ulong)plan.Size;
        if (!RingPart.TryTranslate(
            view, plan.DescriptorAddress, length, PackedDescriptor.Size, IotlbAccess.ReadWrite, out byte* descriptors))
        {
            return RingPart.Unusable("descriptor ring", plan.DescriptorAddress);
        }

        if (!RingPart.TryTranslate(view, plan.DriverAddress, EventSize, EventSize, IotlbAccess.ReadOnly, out byte* driverEvent))
        {
            return RingPart.Unusable("driver event suppression", plan.DriverAddress);
        }

        if (!RingPart.TryTranslate(view, plan.DeviceAddress, EventSize, EventSize, IotlbAccess.WriteOnly, out byte* deviceEvent))
        {
            return RingPart.Unusable("device event suppression", plan.DeviceAddress);
        }

        addresses.Descriptors = (PackedDescriptor*)descriptors;
        addresses.DriverEvent = (uint*)driverEvent;
        addresses.DeviceEvent = (uint*)deviceEvent;
        return null;
    }
}
