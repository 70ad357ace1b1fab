using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Worker;

/// <summary>
/// What a worker can be told. Commands are carried out in the order in which they were posted, between two batches
/// of frames; each is answered by a <see cref="CommandDone"/> with its <see cref="Id"/>, or by <see cref="WorkerExited"/>.
/// </summary>
public abstract record WorkerCommand
{
    private static long _lastId;

    /// <summary>Unique in the process; links the answer to the command.</summary>
    public long Id { get; } = Interlocked.Increment(ref _lastId);
}

/// <summary>
/// Switches to another memory table. The rings' addresses are translated anew; a ring that no longer fits is broken.
/// The worker takes its own reference to the new table and releases the one to the old before it answers.
/// </summary>
public sealed record ReplaceMemory(GuestMemory Memory) : WorkerCommand;

/// <summary>
/// Switches to another log of what is written to guest memory, or to none. The worker takes its own reference to the new log and
/// releases the one to the old before it answers; from then on it marks nothing in the old one.
/// </summary>
/// <param name="Log">The log, or null.</param>
/// <param name="Call">Signalled after a batch that may have marked something (SET_LOG_FD), or null. Leased like a ring's.</param>
public sealed record SetLog(DirtyLog? Log, OwnedFd? Call = null) : WorkerCommand;

/// <summary>
/// Switches to another in-flight region, or to none. A ring that starts takes up what it finds in the region; one that runs
/// writes there how it stands. The worker takes its own reference to the new region and releases the one to the old before it
/// answers.
/// </summary>
public sealed record SetInflight(InflightRegion? Region) : WorkerCommand;

/// <summary>
/// Switches to other translations of a device behind an IOMMU. When it is answered, nothing is touched any more by a
/// translation that is not among them; rings that lack one wait, and report it.
/// </summary>
public sealed record SetIotlb(Iotlb Iotlb) : WorkerCommand;

/// <summary>Starts a ring that is stopped; looks at once for buffers already there.</summary>
public sealed record StartRing(RingSide Side, RingPlan Plan) : WorkerCommand;

/// <summary>
/// Changes a running ring without touching its indices: fds, enabled or not, features, addresses (sent again to switch
/// the log of the used ring). Ignored for a ring that does not run.
/// </summary>
public sealed record UpdateRing(RingSide Side, RingPlan Plan) : WorkerCommand;

/// <summary>Stops a ring; the answer is a <see cref="RingStopped"/>, also for a ring that did not run.</summary>
public sealed record StopRing(RingSide Side) : WorkerCommand;

/// <summary>Sends one frame out on the TAP queue, for example a RARP announcement.</summary>
/// <param name="Frame">The Ethernet frame, without a virtio header.</param>
public sealed record SendFrame(ReadOnlyMemory<byte> Frame) : WorkerCommand;

/// <summary>Registers one more fd on the worker's loop.</summary>
/// <param name="Fd">What to watch for input, level-triggered. Borrowed until <see cref="UnwatchFd"/> or the worker's end.</param>
/// <param name="OnReadable">Called on the worker's thread; must drain the fd, must not block; a throw fails the worker.</param>
public sealed record WatchFd(OwnedFd Fd, Action OnReadable) : WorkerCommand;

/// <summary>Takes back a <see cref="WatchFd"/>.</summary>
public sealed record UnwatchFd(OwnedFd Fd) : WorkerCommand;

/// <summary>Makes the worker fail as if its own code had thrown. For the demo and for tests of supervision.</summary>
public sealed record InjectFault(string Reason) : WorkerCommand;

/// <summary>Ends the worker; the answer is a <see cref="WorkerExited"/> without a cause.</summary>
public sealed record ExitWorker : WorkerCommand;
