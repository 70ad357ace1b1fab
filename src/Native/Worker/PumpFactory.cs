using Ringmaster.Native.Memory;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <summary>Chooses the packet path for a ring: by direction and ring format. The one place that knows the formats.</summary>
internal sealed class PumpFactory(
    TapIo io, TapReadiness tap, WorkerCounters counters, TimeSpan heldFor, SegmentMerger? merger = null)
{
    /// <summary>Attaches to a ring and wraps it in its pump.</summary>
    /// <returns>Null on success, else why the ring cannot run.</returns>
    internal string? Create(RingSide side, RingPlan plan, GuestView view, out RingPump? pump) =>
        plan.Features.HasFlag(VirtioFeatures.RingPacked)
            ? Create<PackedVirtqueue>(side, plan, view, out pump)
            : Create<SplitVirtqueue>(side, plan, view, out pump);

    private string? Create<TRing>(RingSide side, RingPlan plan, GuestView view, out RingPump? pump)
        where TRing : struct, IVirtqueue<TRing>
    {
        pump = null;
        string? problem = TRing.TryAttach(plan, view, out TRing ring);
        if (problem is null)
        {
            pump = side == RingSide.Tx
                ? new GuestToTap<TRing>(ring, plan, view, io, tap, counters, merger)
                : new TapToGuest<TRing>(ring, plan, view, io, tap, counters, heldFor);
        }

        return problem;
    }
}
