namespace Ringmaster.Native.Driver;

/// <summary>The driver's half of a packed virtqueue (virtio 1.3 section 2.8). All barriers of it are in this file.</summary>
/// <remarks>
/// Layout, n = size: descriptor ring 16n (address u64, length u32, id u16, flags u16); driver and device event
/// suppression, 4 bytes each (offset u15 and wrap bit, flags u16: 0 enable, 1 disable, 2 at that descriptor). A descriptor
/// is available when its AVAIL bit equals the driver's wrap counter and its USED bit does not; used when both equal the
/// device's.
/// SAFETY: all three parts come from <see cref="GuestRam.Allocate"/> with these sizes; every position is below n.
/// </remarks>
public sealed unsafe class PackedDriverRing : DriverRing
{
    private const ushort FlagAvail = 1 << 7;
    private const ushort FlagUsed = 1 << 15;
    private const ushort EventEnable = 0;
    private const ushort EventDisable = 1;
    private const ushort EventDescriptor = 2;

    private readonly byte* _descriptors;
    private readonly ushort* _driverEvent;
    private readonly ushort* _deviceEvent;
    private int _available;
    private bool _availableWrap = true;
    private int _used;
    private bool _usedWrap = true;
    private int _unpublished;
    private int _heldHead = -1;
    private ushort _heldFlags;

    internal PackedDriverRing(GuestRam ram, DriverRingOptions options, DriverRing? before)
        : base(ram, options, before, 4, 4)
    {
        _descriptors = ram.At(Addresses.Descriptors, 16 * (ulong)Size);
        _driverEvent = (ushort*)ram.At(Addresses.Driver, 4);
        _deviceEvent = (ushort*)ram.At(Addresses.Device, 4);
    }

    /// <inheritdoc/>
    public override uint Base => (uint)(Position(_used, _usedWrap) | (Position(_used, _usedWrap) << 16));

    /// <inheritdoc/>
    public override uint PublishedBase => (uint)Position(_available, _availableWrap);

    /// <inheritdoc/>
    public override bool Publish()
    {
        if (_heldHead < 0)
        {
            return false;
        }

        // Release: every other descriptor of the batch is visible before the first head's flags hand it all over.
        Volatile.Write(ref Flags(_heldHead), _heldFlags);
        _heldHead = -1;
        int added = _unpublished;
        _unpublished = 0;

        // Full barrier: the descriptors are visible before the device's wish is read, else a kick could be lost.
        Interlocked.MemoryBarrier();
        ushort flags = Volatile.Read(ref _deviceEvent[1]);
        if (flags != EventDescriptor || !Options.EventIdx)
        {
            return flags != EventDisable;
        }

        ushort wanted = Volatile.Read(ref _deviceEvent[0]);
        int position = wanted & 0x7fff;
        position -= (wanted >> 15 != 0) == _availableWrap ? 0 : Size;
        return (ushort)(_available - position - 1) < (ushort)added;
    }

    /// <inheritdoc/>
    public override bool EnableCalls(int after = 0)
    {
        if (Options.EventIdx)
        {
            Volatile.Write(ref _driverEvent[0], (ushort)Position(_used, _usedWrap));
            Volatile.Write(ref _driverEvent[1], EventDescriptor);
        }
        else
        {
            Volatile.Write(ref _driverEvent[1], EventEnable);
        }

        // Full barrier: the wish for a call is visible before the descriptor is read again, else a call could be lost.
        Interlocked.MemoryBarrier();
        return IsUsed();
    }

    /// <inheritdoc/>
    public override void DisableCalls() => Volatile.Write(ref _driverEvent[1], EventDisable);

    private protected override int ReadUsed(out uint id, out uint length)
    {
        if (!IsUsed())
        {
            id = length = 0;
            return 0;
        }

        byte* descriptor = _descriptors + (16 * _used);

        // Without WRITE the length of a used descriptor means nothing (virtio 1.3 section 2.8.7).
        bool wrote = (Volatile.Read(ref Flags(_used)) & FlagWrite) != 0;
        length = wrote ? Volatile.Read(ref *(uint*)(descriptor + 8)) : 0;
        id = Volatile.Read(ref *(ushort*)(descriptor + 12));
        return Math.Max(Outstanding, 1);
    }

    private protected override void Retire(ushort id, int descriptors)
    {
        PushFree(id);
        Step(ref _used, ref _usedWrap, descriptors);
    }

    private protected override ushort WriteChain(ReadOnlySpan<RingBuffer> buffers)
    {
        ushort id = PopFree();
        for (int i = 0; i < buffers.Length; i++)
        {
            int flags = (i == buffers.Length - 1 ? 0 : FlagNext) | (buffers[i].Writable ? FlagWrite : 0);
            Put(i == 0, id, buffers[i].Address, buffers[i].Length, flags);
        }

        return id;
    }

    private protected override ushort WriteIndirect(ReadOnlySpan<RingBuffer> buffers)
    {
        ushort id = PopFree();
        ulong table = IndirectTables + (ulong)(id * Options.IndirectEntries * 16);
        byte* entry = Ram.At(table, (ulong)buffers.Length * 16);
        for (int i = 0; i < buffers.Length; i++, entry += 16)
        {
            *(ulong*)entry = buffers[i].Address;
            *(uint*)(entry + 8) = buffers[i].Length;
            *(ushort*)(entry + 12) = 0;
            *(ushort*)(entry + 14) = buffers[i].Writable ? FlagWrite : (ushort)0;
        }

        Put(true, id, table, (uint)buffers.Length * 16, FlagIndirect);
        return id;
    }

    private protected override ushort WriteRaw(ReadOnlySpan<RawDescriptor> descriptors)
    {
        ushort id = PopFree();
        for (int i = 0; i < descriptors.Length; i++)
        {
            Put(i == 0, id, descriptors[i].Address, descriptors[i].Length, descriptors[i].Flags);
        }

        return id;
    }

    private void Put(bool head, ushort id, ulong address, uint length, int flags)
    {
        byte* descriptor = _descriptors + (16 * _available);
        *(ulong*)descriptor = address;
        *(uint*)(descriptor + 8) = length;
        *(ushort*)(descriptor + 12) = id;
        ushort whole = (ushort)(flags | (_availableWrap ? FlagAvail : FlagUsed));
        if (head && _heldHead < 0)
        {
            _heldHead = _available;
            _heldFlags = whole;
        }
        else
        {
            // Release, for a head: a device may look ahead of the held one, and must find the whole chain then.
            Volatile.Write(ref *(ushort*)(descriptor + 14), whole);
        }

        _unpublished++;
        Step(ref _available, ref _availableWrap, 1);
    }

    private bool IsUsed()
    {
        // Acquire: id and length are read after the flags that declare them.
        ushort flags = Volatile.Read(ref Flags(_used));
        bool used = (flags & FlagUsed) != 0;
        return used == ((flags & FlagAvail) != 0) && used == _usedWrap;
    }

    private ref ushort Flags(int position) => ref *(ushort*)(_descriptors + (16 * position) + 14);

    private void Step(ref int position, ref bool wrap, int by)
    {
        position += by;
        if (position >= Size)
        {
            position -= Size;
            wrap = !wrap;
        }
    }

    private static int Position(int position, bool wrap) => position | (wrap ? 0x8000 : 0);
}
