using Ringmaster.Native.Tap;

namespace Ringmaster.Native.Worker;

/// <summary>Which I/O engine moves frames to and from the TAP.</summary>
public enum IoEngine
{
    /// <summary>io_uring where the kernel allows it, else system calls.</summary>
    Auto,

    /// <summary>io_uring or nothing: the worker fails where it is refused.</summary>
    IoUring,

    /// <summary>readv and writev.</summary>
    Syscall,
}

/// <summary>What a worker needs for its whole life. What changes meanwhile comes as <see cref="WorkerCommand"/>s.</summary>
/// <param name="Name">The thread's name and the prefix of its reports, for example <c>net0/pair-1</c>.</param>
/// <param name="Generation">Counts the workers of one pair; stamped on every report so that stale ones are ignored.</param>
/// <param name="Cpu">The CPU to pin to, or null for no pinning.</param>
/// <param name="Io">The I/O engine.</param>
/// <param name="BusyPoll">Whether it polls before it sleeps.</param>
/// <param name="Merge">Whether frames of one flow are merged on their way to the TAP (see <see cref="SegmentMerger"/>).</param>
/// <param name="Tap">The TAP queue. Owned by the device; the worker only borrows it.</param>
/// <param name="Counters">Where to count; belongs to the queue pair, so that counts outlive the worker.</param>
public sealed record WorkerPlan(
    string Name,
    long Generation,
    int? Cpu,
    IoEngine Io,
    BusyPoll BusyPoll,
    bool Merge,
    TapQueue Tap,
    WorkerCounters Counters)
{
    /// <summary>
    /// How long a frame from the TAP waits for mergeable buffers at most. It may be longer than all that a driver ever posts, and
    /// must not stop the ring.
    /// </summary>
    public TimeSpan HeldFor { get; init; } = TimeSpan.FromMilliseconds(100);
}
