using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Virtio;

/// <summary>
/// Keeps a split ring's queue in the in-flight region (vhost-user specification, "Inflight I/O tracking") and takes up what
/// another back-end left there.
/// </summary>
/// <remarks>
/// <para>
/// Chains are returned in the order in which they were taken, so until a batch is returned the available ring itself tells what
/// is in flight: all from the used index on. So a chain is marked not when it is popped but right before it is returned:
/// </para>
/// <list type="number">
/// <item><see cref="Announce"/>: counter, mark, for each chain; then the chains become the list of the last batch.</item>
/// <item>The ring moves the used index.</item>
/// <item><see cref="Settle"/>: the marks go; then the region's used index follows.</item>
/// </list>
/// <para>
/// Whoever finds the region between any two of these stores finds either that the batch was not returned, and its chains are
/// taken again, in order; or that it was, and no mark of it counts. Another back-end may have left chains that it took out of
/// order: they are <see cref="Pending"/>, marked already, and returned before all others.
/// </para>
/// Everything in the region is hostile: it is read once, when the ring is taken up, and then only written. A process that is
/// killed has made its stores in program order; the barriers here keep the compiler from changing that. The worker's thread only.
/// </remarks>
internal sealed unsafe class SplitInflight
{
    private const ushort KnownVersion = 1;

    private readonly SplitQueueRegion* _queue;
    private readonly SplitDescriptorState* _states;
    private readonly int _size;
    private readonly ushort[] _batch;
    private int _count;
    private ushort _lastBatchHead;
    private ulong _counter;

    private SplitInflight(InflightRegion region, byte* queue, int size)
    {
        Region = region;
        _queue = (SplitQueueRegion*)queue;
        _states = (SplitDescriptorState*)(queue + sizeof(SplitQueueRegion));
        _size = size;
        _batch = new ushort[size];
    }

    internal InflightRegion Region { get; }

    /// <summary>How many of the chains that were in flight when the ring was taken up have not been returned yet.</summary>
    internal int Pending { get; private set; }

    /// <summary>Takes up a queue; begins one in which nothing was written yet.</summary>
    /// <param name="region">Retained by the worker.</param>
    /// <param name="queue">The ring's queue in it.</param>
    /// <param name="size">The ring's size.</param>
    /// <param name="used">The used index that the driver sees.</param>
    /// <param name="inflight">The queue's keeper.</param>
    /// <param name="heads">The heads of the chains in flight, in the order in which they were taken.</param>
    /// <returns>Null, or why the queue cannot be understood.</returns>
    internal static string? TryTakeUp(
        InflightRegion region, byte* queue, int size, ushort used, out SplitInflight inflight, out ushort[] heads)
    {
        inflight = new SplitInflight(region, queue, size);
        heads = [];
        ushort version = Volatile.Read(ref inflight._queue->Version);
        if (version == 0)
        {
            inflight.Write(used, []);
            return null;
        }

        if (version != KnownVersion)
        {
            return $"version {version} of the in-flight region is not known";
        }

        inflight.SettleLastBatch(used);
        heads = inflight.FindMarked();
        inflight.Pending = heads.Length;
        return null;
    }

    /// <summary>Begins a queue for a ring that runs, whatever stands there.</summary>
    /// <param name="region">Retained by the worker.</param>
    /// <param name="queue">The ring's queue in it.</param>
    /// <param name="size">The ring's size.</param>
    /// <param name="used">The used index that the driver sees.</param>
    /// <param name="heads">The chains that are pending, in order.</param>
    internal static SplitInflight Begin(InflightRegion region, byte* queue, int size, ushort used, ReadOnlySpan<ushort> heads)
    {
        var inflight = new SplitInflight(region, queue, size);
        inflight.Write(used, heads);
        return inflight;
    }

    /// <summary>Notes a chain that the next batch returns, in order. Its head is below the ring's size.</summary>
    internal void Note(ushort head) => _batch[_count++] = head;

    /// <summary>Drops what was noted and not announced.</summary>
    internal void Forget() => _count = 0;

    /// <summary>Before the used index moves over the chains noted.</summary>
    internal void Announce()
    {
        for (int i = Math.Min(Pending, _count); i < _count; i++)
        {
            Mark(_batch[i]);
        }

        for (int i = 0; i < _count; i++)
        {
            ushort head = _batch[i];
            _states[head].Next = _lastBatchHead;
            Stored();
            _lastBatchHead = head;

            // Release: the link before the list that it is a part of. The used index, with a release of its own, comes after all.
            Volatile.Write(ref _queue->LastBatchHead, head);
            Stored();
        }
    }

    /// <summary>After the used index has moved.</summary>
    internal void Settle(ushort used)
    {
        Stored();
        for (int i = 0; i < _count; i++)
        {
            // Release: the used index before the mark goes, or the chain would be neither returned nor in flight.
            Volatile.Write(ref _states[_batch[i]].Inflight, 0);
            Stored();
        }

        // Release: no mark of the batch is left when the region says that it is settled.
        Volatile.Write(ref _queue->UsedIndex, used);
        Stored();
        Pending -= Math.Min(Pending, _count);
        _count = 0;
    }

    private void Write(ushort used, ReadOnlySpan<ushort> heads)
    {
        Volatile.Write(ref _queue->Version, 0);
        for (int i = 0; i < _size; i++)
        {
            _states[i].Inflight = 0;
        }

        foreach (ushort head in heads)
        {
            Mark(head);
        }

        _queue->Features = 0;
        _queue->DescriptorCount = (ushort)Region.QueueSize;
        _queue->LastBatchHead = 0;
        _queue->UsedIndex = used;

        // Release: everything else before the version that makes it count.
        Volatile.Write(ref _queue->Version, KnownVersion);
        Pending = heads.Length;
    }

    private void Mark(ushort head)
    {
        _states[head].Counter = _counter++;
        Stored();

        // Release: the counter before the mark that makes it count.
        Volatile.Write(ref _states[head].Inflight, 1);
        Stored();
    }

    /// <summary>The used index moved and the region's did not: the last batch was returned, so its marks do not count.</summary>
    private void SettleLastBatch(ushort used)
    {
        int left = Math.Min((ushort)(used - Volatile.Read(ref _queue->UsedIndex)), _size);
        ushort head = _lastBatchHead = Volatile.Read(ref _queue->LastBatchHead);
        for (; left > 0 && head < _size; left--)
        {
            Volatile.Write(ref _states[head].Inflight, 0);
            Stored();
            head = Volatile.Read(ref _states[head].Next);
        }

        // Release: the marks before the index that they are right for.
        Volatile.Write(ref _queue->UsedIndex, used);
        Stored();
    }

    private ushort[] FindMarked()
    {
        var heads = new List<ushort>();
        var counters = new List<ulong>();
        for (int i = 0; i < _size; i++)
        {
            if (Volatile.Read(ref _states[i].Inflight) != 0)
            {
                heads.Add((ushort)i);
                counters.Add(Volatile.Read(ref _states[i].Counter));
            }
        }

        ushort[] inOrder = [.. heads];
        ulong[] keys = [.. counters];
        Array.Sort(keys, inOrder);
        _counter = keys.Length == 0 ? 0 : keys[^1] + 1;
        return inOrder;
    }

    private void Stored() => Region.Stored?.Invoke();
}
