using System.Runtime.CompilerServices;

namespace Ringmaster.Native.Driver;

/// <summary>
/// The driver's half of a virtqueue. It accounts for every chain: what the device returns must be out, is returned
/// once, and is no longer than what it may write; anything else is a <see cref="RingViolationException"/>.
/// </summary>
/// <remarks>
/// One thread at a time. Chains that were added are invisible to the device until <see cref="Publish"/>. Chains are known by an
/// id (split: the head descriptor's number; packed: the buffer id). Free ids are handed out first in, first out, so that
/// with IN_ORDER the descriptors of a split ring are used in ring order, as virtio 1.3 section 2.7.8 demands.
/// </remarks>
public abstract class DriverRing
{
    /// <summary>Descriptor flag: the chain goes on.</summary>
    public const ushort FlagNext = 1;

    /// <summary>Descriptor flag: the device writes this buffer.</summary>
    public const ushort FlagWrite = 2;

    /// <summary>Descriptor flag: the buffer is a table of descriptors.</summary>
    public const ushort FlagIndirect = 4;

    private readonly Slot[] _slots;
    private readonly IdQueue _free;
    private readonly IdQueue _out;
    private int _batchLeft;
    private uint _batchLength;
    private ushort _lastId;

    /// <param name="ram">Where the ring lies.</param>
    /// <param name="options">Its size and format.</param>
    /// <param name="before">A ring of the same options whose memory is cleared and used again, or null.</param>
    /// <param name="driverBytes">Size of the driver's part.</param>
    /// <param name="deviceBytes">Size of the device's part.</param>
    private protected DriverRing(GuestRam ram, DriverRingOptions options, DriverRing? before, int driverBytes, int deviceBytes)
    {
        Ram = ram;
        Options = options;
        Size = options.Size;
        _slots = new Slot[Size];
        _free = new IdQueue(Size);
        _out = new IdQueue(Size);
        for (int id = 0; id < Size; id++)
        {
            _free.Push((ushort)id);
        }

        FreeDescriptors = Size;
        IndirectTables = before?.IndirectTables ?? Take(Size * options.IndirectEntries * 16);
        Addresses = before?.Addresses ?? new RingAddresses(Take(16 * Size), Take(driverBytes), Take(deviceBytes));
        ram.Bytes(Addresses.Descriptors, 16 * Size).Clear();
        ram.Bytes(Addresses.Driver, driverBytes).Clear();
        ram.Bytes(Addresses.Device, deviceBytes).Clear();
    }

    /// <summary>Descriptors in the ring.</summary>
    public int Size { get; }

    /// <summary>Where the parts of the ring lie.</summary>
    public RingAddresses Addresses { get; }

    /// <summary>Descriptors that are not out.</summary>
    public int FreeDescriptors { get; private protected set; }

    /// <summary>Chains given to the device since the start.</summary>
    public long Added { get; private set; }

    /// <summary>Chains that came back since the start.</summary>
    public long Returned { get; private set; }

    /// <summary>Chains in the device's hands (or added and not yet published).</summary>
    public int Outstanding => (int)(Added - Returned);

    /// <summary>
    /// Where a device is to go on, in the form of SET_VRING_BASE: at the first chain that it has not returned. Exact for a packed
    /// ring only when everything that came back has been collected.
    /// </summary>
    public abstract uint Base { get; }

    /// <summary>
    /// After the last chain published: what some front-ends send in SET_VRING_BASE after a reconnect. Of a packed ring the lower
    /// half alone, as DPDK has it.
    /// </summary>
    public abstract uint PublishedBase { get; }

    /// <summary>The memory that the ring lies in.</summary>
    public GuestRam Ram { get; }

    private protected DriverRingOptions Options { get; }

    private protected ulong IndirectTables { get; }

    /// <summary>Makes a ring of either format.</summary>
    public static DriverRing Create(GuestRam ram, DriverRingOptions options) =>
        options.Packed ? new PackedDriverRing(ram, options, null) : new SplitDriverRing(ram, options, null);

    /// <summary>A ring that begins anew in this one's memory, which is cleared. The device must have stopped this one.</summary>
    public DriverRing Renew() =>
        Options.Packed ? new PackedDriverRing(Ram, Options, this) : new SplitDriverRing(Ram, Options, this);

    /// <summary>Adds a chain, invisible to the device until <see cref="Publish"/>.</summary>
    /// <param name="buffers">One or more; those that the device reads come first.</param>
    /// <param name="token">Comes back with the chain.</param>
    /// <param name="indirect">True: the buffers go into an indirect table and take one descriptor of the ring.</param>
    /// <returns>False when too few descriptors are free.</returns>
    public bool TryAdd(ReadOnlySpan<RingBuffer> buffers, long token, bool indirect = false)
    {
        int needed = indirect ? 1 : buffers.Length;
        if (needed > FreeDescriptors || buffers.IsEmpty)
        {
            return false;
        }

        if (indirect && buffers.Length > Options.IndirectEntries)
        {
            throw new ArgumentException($"Indirect tables of this ring hold {Options.IndirectEntries} entries.", nameof(buffers));
        }

        ulong writable = 0;
        foreach (RingBuffer buffer in buffers)
        {
            writable += buffer.Writable ? buffer.Length : 0;
        }

        ushort id = indirect ? WriteIndirect(buffers) : WriteChain(buffers);
        Register(id, token, writable, needed);
        return true;
    }

    /// <summary>
    /// Adds a chain whose descriptors may be nonsense. It is accounted for like any other; length 0 is always legal for it.
    /// </summary>
    /// <param name="descriptors">What is to stand in the ring, the head first.</param>
    /// <param name="token">Comes back with the chain.</param>
    /// <returns>False when too few descriptors are free.</returns>
    public bool TryAddRaw(ReadOnlySpan<RawDescriptor> descriptors, long token)
    {
        if (descriptors.Length > FreeDescriptors || descriptors.IsEmpty)
        {
            return false;
        }

        ulong writable = 0;
        foreach (RawDescriptor descriptor in descriptors)
        {
            writable += (descriptor.Flags & FlagIndirect) != 0 ? uint.MaxValue : 0;
            writable += (descriptor.Flags & FlagWrite) != 0 ? descriptor.Length : 0;
        }

        Register(WriteRaw(descriptors), token, writable, descriptors.Length);
        return true;
    }

    /// <summary>Makes what was added visible to the device.</summary>
    /// <returns>True when the device wants a kick for it.</returns>
    public abstract bool Publish();

    /// <summary>Takes back one chain.</summary>
    /// <returns>False when none has come back.</returns>
    /// <exception cref="RingViolationException">What the device wrote is against the rules.</exception>
    public bool TryCollect(out UsedChain used)
    {
        if (_batchLeft == 0 && !TryReadBatch())
        {
            used = default;
            return false;
        }

        ushort id = Options.InOrder ? _out.Pop() : _lastId;
        _batchLeft--;
        ref Slot slot = ref _slots[id];
        uint length = _batchLeft == 0 ? _batchLength : (uint)Math.Min(slot.Writable, uint.MaxValue);
        used = new UsedChain(slot.Token, length);
        Unregister(id, ref slot, length);
        return true;
    }

    /// <summary>Asks for a call when the device returns chains.</summary>
    /// <param name="after">With EVENT_IDX on a split ring: only when that many more chains have come back than one.</param>
    /// <returns>True when chains have come back meanwhile, so that the caller must not sleep.</returns>
    public abstract bool EnableCalls(int after = 0);

    /// <summary>Asks for no calls. A hint: some may come all the same.</summary>
    public abstract void DisableCalls();

    /// <summary>Reads one entry that the device wrote, without taking anything back.</summary>
    /// <returns>How many chains the device has returned at most; 0 = none, and no entry was read.</returns>
    private protected abstract int ReadUsed(out uint id, out uint length);

    /// <summary>Steps over a returned chain.</summary>
    private protected abstract void Retire(ushort id, int descriptors);

    private protected abstract ushort WriteChain(ReadOnlySpan<RingBuffer> buffers);

    private protected abstract ushort WriteIndirect(ReadOnlySpan<RingBuffer> buffers);

    private protected abstract ushort WriteRaw(ReadOnlySpan<RawDescriptor> descriptors);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected ushort PopFree() => _free.Pop();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected void PushFree(ushort id) => _free.Push(id);

    private ulong Take(int bytes) => Ram.Allocate((ulong)bytes, Options.Alignment, Options.Region);

    private void Register(ushort id, long token, ulong writable, int descriptors)
    {
        _slots[id] = new Slot { Token = token, Writable = writable, Descriptors = descriptors, Out = true };
        if (Options.InOrder)
        {
            _out.Push(id);
        }

        FreeDescriptors -= descriptors;
        Added++;
    }

    private void Unregister(ushort id, ref Slot slot, uint length)
    {
        if (length > slot.Writable)
        {
            throw new RingViolationException($"Chain {id} came back with {length} bytes written; {slot.Writable} are writable.");
        }

        slot.Out = false;
        FreeDescriptors += slot.Descriptors;
        Returned++;
        Retire(id, slot.Descriptors);
    }

    /// <summary>
    /// With IN_ORDER one entry may stand for many chains: it names the last of them (virtio 1.3 sections 2.7.9, 2.8.9).
    /// </summary>
    private bool TryReadBatch()
    {
        int ready = ReadUsed(out uint id, out uint length);
        if (ready == 0)
        {
            return false;
        }

        if (id >= (uint)Size || !_slots[id].Out)
        {
            throw new RingViolationException($"Chain {id} came back and is not out.");
        }

        _lastId = (ushort)id;
        _batchLength = length;
        _batchLeft = 1;
        if (Options.InOrder)
        {
            while (_out.Peek(_batchLeft - 1) != id)
            {
                _batchLeft++;
            }
        }

        if (_batchLeft > ready)
        {
            throw new RingViolationException($"Chain {id} ends a batch of {_batchLeft}, but only {ready} chains are used.");
        }

        return true;
    }

    /// <summary>Ids, first in, first out; never more than the ring's size.</summary>
    private sealed class IdQueue(int size)
    {
        private readonly ushort[] _ids = new ushort[size];
        private int _head;
        private int _tail;

        internal void Push(ushort id)
        {
            _ids[_tail] = id;
            _tail = _tail + 1 == _ids.Length ? 0 : _tail + 1;
        }

        internal ushort Pop()
        {
            ushort id = _ids[_head];
            _head = _head + 1 == _ids.Length ? 0 : _head + 1;
            return id;
        }

        internal ushort Peek(int ahead) => _ids[(_head + ahead) % _ids.Length];
    }

    private struct Slot
    {
        internal long Token;
        internal ulong Writable;
        internal int Descriptors;
        internal bool Out;
    }
}
