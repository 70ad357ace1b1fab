using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Virtio;

/// <summary>
/// Keeps a packed ring's queue in the in-flight region (vhost-user specification, "Inflight I/O tracking") and takes up what
/// another back-end left there.
/// </summary>
/// <remarks>
/// <para>
/// Chains are returned in the order in which they were taken, so until a batch is returned the ring itself tells what is in
/// flight: all from the used position on. But returning a batch overwrites descriptors before the driver sees the first of them,
/// so right before that the chains are copied:
/// </para>
/// <list type="number">
/// <item><see cref="Announce"/>: each chain gets free states, with a counter, a mark and copies of its descriptors. Then the
/// states are put back on the free list and the used position moves on, but only in the fields of the batch under way.</item>
/// <item>The ring writes the used descriptors, the first one last.</item>
/// <item><see cref="Settle"/>: the marks go; then the "old" fields follow.</item>
/// </list>
/// <para>
/// Whoever finds the region between any two of these stores looks at the descriptor at the old position: still available, so the
/// batch was not returned and its chains are taken again from the copies; else it was, and the fields of the batch count. (The
/// specification looks only when the used index moved; here also when the wrap counter did, or a batch of a whole lap was missed.
/// Nor does it say that used descriptors of a batch that was not returned must be put back, which the ring does.)
/// </para>
/// Everything in the region is hostile: it is read once and checked, when the ring is taken up, and then only written; links and
/// positions are kept here besides. A process that is killed has made its stores in program order; the barriers here keep the
/// compiler from changing that. The worker's thread only.
/// </remarks>
internal sealed unsafe partial class PackedInflight
{
    private const ushort KnownVersion = 1;

    private readonly PackedQueueRegion* _queue;
    private readonly PackedDescriptorState* _states;
    private readonly int _size;
    private readonly ushort[] _next;
    private readonly ushort[] _last;
    private readonly ushort[] _batchSlots;
    private readonly ushort[] _batchStates;
    private PendingChain[] _pending = [];
    private int _pendingReturned;
    private int _count;
    private ushort _free;
    private ulong _counter;

    private PackedInflight(InflightRegion region, byte* queue, int size)
    {
        Region = region;
        _queue = (PackedQueueRegion*)queue;
        _states = (PackedDescriptorState*)(queue + sizeof(PackedQueueRegion));
        _size = size;
        _next = new ushort[size];
        _last = new ushort[size];
        _batchSlots = new ushort[size];
        _batchStates = new ushort[size];
    }

    internal InflightRegion Region { get; }

    /// <summary>The used position, between two batches.</summary>
    internal int Position { get; private set; }

    /// <summary>The chains that were in flight when the ring was taken up and have not been returned yet, in order.</summary>
    internal ReadOnlySpan<PendingChain> Pending => _pending.AsSpan(_pendingReturned);

    /// <summary>Begins a queue for a ring, whatever stands there.</summary>
    /// <param name="region">Retained by the worker.</param>
    /// <param name="queue">The ring's queue in it.</param>
    /// <param name="size">The ring's size.</param>
    /// <param name="position">The ring's used position.</param>
    /// <param name="source">Where the descriptors of pending chains stand, by slot.</param>
    /// <param name="pending">The chains that are pending, in order; their states are of another region.</param>
    internal static PackedInflight Begin(
        InflightRegion region,
        byte* queue,
        int size,
        int position,
        PackedDescriptor* source = null,
        ReadOnlySpan<PendingChain> pending = default)
    {
        var inflight = new PackedInflight(region, queue, size) { Position = position };
        Volatile.Write(ref inflight._queue->Version, 0);
        for (int i = 0; i < size; i++)
        {
            inflight._next[i] = (ushort)(i + 1);
            inflight._states[i].Next = (ushort)(i + 1);
            inflight._states[i].Inflight = 0;
        }

        inflight._queue->Features = 0;
        inflight._queue->DescriptorCount = (ushort)region.QueueSize;
        inflight._queue->FreeHead = 0;
        inflight._queue->OldFreeHead = 0;
        inflight.WriteUsed(position, position);
        inflight.TakePending(source, pending);

        // Release: everything else before the version that makes it count.
        Volatile.Write(ref inflight._queue->Version, KnownVersion);
        return inflight;
    }

    /// <summary>Notes a chain that the next batch returns, in order.</summary>
    internal void Note(int slots) => _batchSlots[_count++] = (ushort)slots;

    /// <summary>Drops what was noted and not announced.</summary>
    internal void Forget() => _count = 0;

    /// <summary>Before the chains noted are overwritten by used descriptors.</summary>
    /// <param name="ring">The descriptor ring.</param>
    internal void Announce(PackedDescriptor* ring)
    {
        int to = Position;
        for (int i = 0; i < _count; i++)
        {
            ReadOnlySpan<PendingChain> pending = Pending;
            _batchStates[i] = i < pending.Length ? pending[i].State : Take(ring, to, _batchSlots[i]);
            to = PackedPosition.Advance(to, _batchSlots[i], _size);
        }

        for (int i = 0; i < _count; i++)
        {
            ushort state = _batchStates[i];
            ushort last = _last[state];
            _next[last] = _free;
            _states[last].Next = _free;
            Stored();
            _free = state;
            _queue->FreeHead = state;
            Stored();
        }

        WriteUsed(to, Position);
        Position = to;

        // Full barrier: the copies and the position before the first descriptor is overwritten.
        Interlocked.MemoryBarrier();
    }

    /// <summary>After the first used descriptor was written, so that the driver can see them all.</summary>
    internal void Settle()
    {
        Stored();
        for (int i = 0; i < _count; i++)
        {
            // Release: the used descriptors before the mark goes.
            Volatile.Write(ref _states[_batchStates[i]].Inflight, 0);
            Stored();
        }

        // Release: the marks before the list on which they must not be found.
        Volatile.Write(ref _queue->OldFreeHead, _free);
        Stored();
        WriteUsed(Position, Position);
        _pendingReturned += Math.Min(_pending.Length - _pendingReturned, _count);
        _count = 0;
    }

    /// <summary>For a test that ends the world between two stores.</summary>
    internal void Stored() => Region.Stored?.Invoke();

    /// <summary>Copies a chain into free states. There are as many as the ring has slots, so they cannot run out.</summary>
    private ushort Take(PackedDescriptor* ring, int position, int slots)
    {
        ushort head = _free;
        ref PackedDescriptorState chain = ref _states[head];
        chain.Count = 0;
        chain.Counter = _counter++;
        Stored();

        // Release: the counter before the mark that makes it count. A free state's mark does not count yet.
        Volatile.Write(ref chain.Inflight, 1);
        Stored();
        for (int i = 0; i < slots; i++)
        {
            ushort state = _free;
            PackedDescriptor descriptor = ring[PackedPosition.Index(PackedPosition.Advance(position, i, _size), _size)];
            _states[state].Address = descriptor.Address;
            _states[state].Length = descriptor.Tail.Length;
            _states[state].Flags = descriptor.Tail.Flags;
            _states[state].Id = descriptor.Tail.Id;
            chain.Last = state;
            chain.Count = (ushort)(i + 1);
            _last[head] = state;
            Stored();
            _free = _next[state];
            _queue->FreeHead = _free;
            Stored();
        }

        // Release: the whole chain before it is off the free list, from which on its mark counts.
        Volatile.Write(ref _queue->OldFreeHead, _free);
        Stored();
        return head;
    }

    private void TakePending(PackedDescriptor* source, ReadOnlySpan<PendingChain> pending)
    {
        int position = Position;
        _pending = new PendingChain[pending.Length];
        for (int i = 0; i < pending.Length; i++)
        {
            _pending[i] = new PendingChain(Take(source, position, pending[i].Slots), pending[i].Slots);
            position = PackedPosition.Advance(position, pending[i].Slots, _size);
        }
    }

    /// <summary>Release: everything before it, in this queue and in the ring, is there before the positions move.</summary>
    private void WriteUsed(int now, int old)
    {
        ulong word = (uint)PackedPosition.Index(now, _size) | ((ulong)(uint)PackedPosition.Index(old, _size) << 16)
            | (PackedPosition.Wrap(now, _size) ? 1UL << 32 : 0) | (PackedPosition.Wrap(old, _size) ? 1UL << 40 : 0);
        Volatile.Write(ref _queue->Used, word);
        Stored();
    }

    /// <summary>A chain that was in flight when the ring was taken up.</summary>
    /// <param name="State">The first of its states.</param>
    /// <param name="Slots">How many descriptors it has.</param>
    internal readonly record struct PendingChain(ushort State, ushort Slots);
}
