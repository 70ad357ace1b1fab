using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Device;

/// <summary>
/// What one queue pair has counted: its workers' counters, and beside them what was carried over from the device in which its
/// guest ran before. Read by anyone at any time without a lock; lives as long as the pair, across workers and front-ends.
/// </summary>
public sealed class PairCounters
{
    /// <summary>By <see cref="WorkerCounter"/>, to be added to what the workers count; replaced as a whole.</summary>
    private long[] _carried = new long[WorkerCounters.Count];

    /// <summary>The present value of one counter.</summary>
    public long this[WorkerCounter counter] => Volatile.Read(ref _carried)[(int)counter] + Live[counter];

    /// <summary>Written by the pair's worker alone.</summary>
    internal WorkerCounters Live { get; } = new();

    /// <summary>
    /// Goes on from what was counted elsewhere, whatever was counted here: loading twice, or what was saved here before, counts
    /// nothing twice. While the pair's rings stand still; the device's actor only.
    /// </summary>
    /// <param name="table">What was counted.</param>
    /// <param name="pair">Which row of it.</param>
    internal void GoOnFrom(CounterTable table, int pair)
    {
        long[] carried = new long[WorkerCounters.Count];
        foreach ((WorkerCounter counter, long value) in table[pair])
        {
            carried[(int)counter] = value - Live[counter];
        }

        Volatile.Write(ref _carried, carried);
    }
}
