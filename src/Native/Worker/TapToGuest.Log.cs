using Ringmaster.Native.Memory;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <content>
/// Marks what is written to receive buffers in the log of a migration. Marks are set after the write and before the chain is
/// published: a page that the guest can rely on is one that the other side gets. Buffers that a frame was read into and
/// then moved out of have been written to as well.
/// </content>
internal sealed unsafe partial class TapToGuest<TRing>
{
    private static DirtyLog? LogOf(RingPlan plan, GuestView view) =>
        plan.Features.HasFlag(VirtioFeatures.LogAll) ? view.Log : null;

    private void MarkWritten(ulong address, ulong length)
    {
        if (_view.Iotlb is { } iotlb)
        {
            IovaMarks.Mark(_log!, _view.Memory, iotlb, address, length);
        }
        else
        {
            _log!.Mark(address, length);
        }
    }

    /// <summary>
    /// Marks the first <paramref name="length"/> bytes from a vector on, without what went into a spill buffer.
    /// </summary>
    private void MarkWritten(int vector, int length)
    {
        for (; length > 0; vector++)
        {
            int part = (int)Math.Min((nuint)length, _space.Vectors[vector].Length);
            MarkWritten(_space.GuestAddresses[vector], (ulong)part);
            length -= part;
        }
    }
}
