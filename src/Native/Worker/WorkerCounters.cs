using System.Runtime.CompilerServices;

namespace Ringmaster.Native.Worker;

/// <summary>Names one counter of <see cref="WorkerCounters"/>.</summary>
public enum WorkerCounter
{
    /// <summary>Frames written to the TAP.</summary>
    TxFrames,

    /// <summary>Bytes of those frames, without the virtio header.</summary>
    TxBytes,

    /// <summary>Frames given to the guest.</summary>
    RxFrames,

    /// <summary>Bytes of those frames, without the virtio header.</summary>
    RxBytes,

    /// <summary>Frames that the TAP refused (bad header, interface down).</summary>
    TxDropped,

    /// <summary>Frames discarded because the transmit ring was disabled.</summary>
    TxDiscarded,

    /// <summary>Times the TAP could not take a frame at once (it is kept and tried again).</summary>
    TxRetried,

    /// <summary>Frames that no receive buffer could hold.</summary>
    RxDropped,

    /// <summary>Times frames waited because the guest had no receive buffer.</summary>
    RxStarved,

    /// <summary>Transmit chains that were not legal; each was returned with length 0.</summary>
    TxBadChains,

    /// <summary>Receive chains that were not legal; each was returned with length 0.</summary>
    RxBadChains,

    /// <summary>Calls sent to the driver.</summary>
    Calls,

    /// <summary>Calls spared because the driver did not want them.</summary>
    CallsSuppressed,

    /// <summary>Calls that could not be delivered (pipe broken, fd refused the write).</summary>
    CallErrors,

    /// <summary>Kicks received.</summary>
    Kicks,

    /// <summary>Rings given up as broken.</summary>
    RingErrors,

    /// <summary>Times the worker went to sleep.</summary>
    Sleeps,

    /// <summary>Batches of frames moved.</summary>
    Batches,

    /// <summary>Frames among <see cref="TxFrames"/> that went to the TAP merged with others.</summary>
    TxMerged,

    /// <summary>Merged frames that the TAP refused.</summary>
    TxMergesRefused,
}

/// <summary>
/// The counters of one worker: written by its thread alone, read by anyone at any time without a lock. Each value is
/// exact; two values read together may be a batch apart. They live as long as the queue pair, across workers.
/// </summary>
public sealed class WorkerCounters
{
    /// <summary>How many counters there are.</summary>
    public static readonly int Count = Enum.GetValues<WorkerCounter>().Length;

    // A cache line of padding before and after keeps the readers of neighbours off the writer's lines.
    private const int Padding = 16;
    private readonly long[] _values =
        GC.AllocateArray<long>(Padding + Enum.GetValues<WorkerCounter>().Length + Padding, pinned: true);

    /// <summary>The present value of one counter.</summary>
    public long this[WorkerCounter counter] => Volatile.Read(ref _values[Padding + (int)counter]);

    /// <summary>Adds to a counter. The worker's thread only.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Add(WorkerCounter counter, long amount)
    {
        ref long slot = ref _values[Padding + (int)counter];
        Volatile.Write(ref slot, slot + amount);
    }
}
