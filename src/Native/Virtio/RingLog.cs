using Ringmaster.Native.Memory;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Virtio;

/// <summary>
/// Marks what the device writes to the parts of its ring (VHOST_VRING_F_LOG), always after it was written: a mark set before
/// could be fetched, and the page copied, before the write is there. While no log is wanted it costs one test a batch.
/// </summary>
internal readonly struct RingLog
{
    private readonly DirtyLog? _log;
    private readonly GuestMemory _memory;
    private readonly Iotlb? _iotlb;
    private readonly ulong _devicePart;
    private readonly ulong _descriptors;

    internal RingLog(RingPlan plan, GuestView view)
    {
        _log = plan.LogUsed is null ? null : view.Log;
        _memory = view.Memory;
        _iotlb = view.Iotlb;

        // Behind an IOMMU the front-end gives no guest-physical address: its own of the used ring is all that is known.
        _devicePart = view.Iotlb is null ? plan.LogUsed ?? 0 : plan.DeviceAddress;
        _descriptors = plan.DescriptorAddress;
    }

    /// <summary>True when there is anything to do.</summary>
    internal bool On => _log is not null;

    /// <summary>Marks bytes of the used ring or the device event suppression, whose place the front-end gives.</summary>
    internal void MarkDevicePart(ulong offset, ulong length)
    {
        if (_iotlb is null)
        {
            _log!.Mark(_devicePart + offset, length);
        }
        else
        {
            IovaMarks.Mark(_log!, _memory, _iotlb, _devicePart + offset, length);
        }
    }

    /// <summary>
    /// Marks bytes of the descriptor ring of a packed ring. The front-end gives no guest address for them, so it is found by
    /// its memory table.
    /// </summary>
    internal void MarkDescriptors(ulong offset, ulong length)
    {
        if (_iotlb is not null)
        {
            IovaMarks.Mark(_log!, _memory, _iotlb, _descriptors + offset, length);
        }
        else if (_memory.TryToGuestAddress(_descriptors + offset, out ulong guestAddress))
        {
            _log!.Mark(guestAddress, length);
        }
    }
}
