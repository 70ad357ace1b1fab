using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Worker;

/// <summary>What a worker tells. Reports are made on the worker's thread; the receiver must not block.</summary>
/// <param name="Generation">Of the worker that reports, from its <see cref="WorkerPlan"/>.</param>
public abstract record WorkerReport(long Generation);

/// <summary>The first report: the thread is set up and takes commands.</summary>
/// <param name="Generation">Of the worker.</param>
/// <param name="Engine">The I/O engine in use: <c>io-uring</c> or <c>syscall</c>.</param>
/// <param name="Fallback">Why io_uring was not to be had although allowed, or null.</param>
public sealed record WorkerStarted(long Generation, string Engine, string? Fallback) : WorkerReport(Generation);

/// <summary>The kernel does not take a kind of merged frame; the worker merges no more of it. Once for each kind.</summary>
/// <param name="Generation">Of the worker.</param>
/// <param name="Kind">In words, for the operator's log.</param>
public sealed record MergingRefused(long Generation, string Kind) : WorkerReport(Generation);

/// <summary>A command was carried out.</summary>
/// <param name="Generation">Of the worker.</param>
/// <param name="CommandId">The command's <see cref="WorkerCommand.Id"/>.</param>
public record CommandDone(long Generation, long CommandId) : WorkerReport(Generation);

/// <summary>A command could not be carried out, by no fault of the worker's.</summary>
/// <param name="Generation">Of the worker.</param>
/// <param name="CommandId">The command's <see cref="WorkerCommand.Id"/>.</param>
/// <param name="Reason">For the operator's log.</param>
public sealed record CommandRefused(long Generation, long CommandId, string Reason) : CommandDone(Generation, CommandId);

/// <summary>A ring has stopped; nobody touches it any more.</summary>
/// <param name="Generation">Of the worker.</param>
/// <param name="CommandId">The <see cref="StopRing"/>.</param>
/// <param name="Side">Which ring.</param>
/// <param name="Base">The index to go on from, in the form of <see cref="RingPlan.Base"/>; null when it did not run.</param>
public sealed record RingStopped(long Generation, long CommandId, RingSide Side, uint? Base) : CommandDone(Generation, CommandId);

/// <summary>
/// A ring waits for a translation. It goes on, or reports again, with the next <see cref="SetIotlb"/>; the other ring is not
/// held up.
/// </summary>
/// <param name="Generation">Of the worker.</param>
/// <param name="Side">Which ring.</param>
/// <param name="Missing">What it lacks.</param>
public sealed record TranslationMissing(long Generation, RingSide Side, IotlbMiss Missing) : WorkerReport(Generation);

/// <summary>
/// A ring's own structure is broken (addresses, indices, memory gone). The ring has been stopped and its error fd
/// signalled; the worker and the other ring go on.
/// </summary>
/// <param name="Generation">Of the worker.</param>
/// <param name="Side">Which ring.</param>
/// <param name="Reason">For the operator's log.</param>
/// <param name="Base">The index at which it stopped, in the form of <see cref="RingPlan.Base"/>.</param>
public sealed record RingBroken(long Generation, RingSide Side, string Reason, uint Base) : WorkerReport(Generation);

/// <summary>The last thing a worker says: it has released everything and its thread ends.</summary>
/// <param name="Generation">Of the worker.</param>
/// <param name="Cause">Why it failed, or null after <see cref="ExitWorker"/>.</param>
/// <param name="RxBase">Where the receive ring stopped, as in <see cref="RingPlan.Base"/>; null when it did not run.</param>
/// <param name="TxBase">The same for the transmit ring.</param>
public sealed record WorkerExited(long Generation, Exception? Cause, uint? RxBase, uint? TxBase) : WorkerReport(Generation);
