using Ringmaster.Native.Driver;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests.Matrix;

/// <summary>One combination of ring features, as a driver can choose it.</summary>
internal sealed record RingCell(
    bool Packed, bool Indirect, bool EventIndex, bool Mergeable, bool InOrder, int Pairs, int QueueSize)
{
    internal const int MaxQueueSize = 1024;

    /// <summary>What a cell switches on or off.</summary>
    internal const VirtioFeatures Switched = VirtioFeatures.RingPacked | VirtioFeatures.IndirectDesc | VirtioFeatures.EventIdx
        | VirtioFeatures.MrgRxbuf | VirtioFeatures.InOrder;

    private static readonly bool[] Both = [false, true];

    /// <summary>All combinations.</summary>
    internal static IEnumerable<RingCell> All =>
        from packed in Both
        from indirect in Both
        from eventIndex in Both
        from mergeable in Both
        from inOrder in Both
        from pairs in new[] { 1, 2 }
        from size in new[] { 64, 256, MaxQueueSize }
        select new RingCell(packed, indirect, eventIndex, mergeable, inOrder, pairs, size);

    /// <summary>The features that the driver must end up with, of those that are switched.</summary>
    internal VirtioFeatures Features =>
        (Packed ? VirtioFeatures.RingPacked : 0)
        | (Indirect ? VirtioFeatures.IndirectDesc : 0)
        | (EventIndex ? VirtioFeatures.EventIdx : 0)
        | (Mergeable ? VirtioFeatures.MrgRxbuf : 0)
        | (InOrder ? VirtioFeatures.InOrder : 0);

    /// <summary>
    /// How the driver behaves: each frame is sent as header, protocol headers and pieces of the rest. Received frames go into
    /// mergeable buffers of 2 KiB, or else into buffers for the largest frame, in four pieces.
    /// </summary>
    internal VirtioNetOptions Options => new()
    {
        Pairs = Pairs,
        QueueSize = QueueSize,
        Features = (VirtioNetOptions.ModernFeatures & ~Switched) | Features,
        Indirect = Indirect,
        TransmitCuts = [12, 66, 1000, 2000, 8000, 16_000, 32_000, 48_000],
        ReceivePieces = Mergeable ? (Indirect ? 2 : 1) : 4,
    };

    public override string ToString() => string.Join(' ', new[]
    {
        Packed ? "packed" : "split", Indirect ? "indirect" : "direct", EventIndex ? "event-idx" : "flags",
        Mergeable ? "mergeable" : "single", InOrder ? "in-order" : "any-order", $"{Pairs}x{QueueSize}",
    });
}
