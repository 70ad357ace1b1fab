using System.Buffers.Binary;

namespace Ringmaster.Native.VhostUser;

// Payloads that matter when a guest moves, crashes over, or translates addresses.

/// <summary>The dirty log ("Log description"): size u64 at 0, offset u64 at 8; one fd comes along.</summary>
/// <param name="Size">Bytes of the log.</param>
/// <param name="MmapOffset">Where in the file it begins.</param>
public readonly record struct LogPayload(ulong Size, ulong MmapOffset)
{
    /// <summary>Bytes on the wire.</summary>
    public const int SizeInBytes = 16;

    /// <summary>Reads the payload; false when its size is wrong.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out LogPayload payload)
    {
        payload = default;
        if (bytes.Length != SizeInBytes)
        {
            return false;
        }

        payload = new LogPayload(
            BinaryPrimitives.ReadUInt64LittleEndian(bytes),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]));
        return true;
    }

    /// <summary>Writes the payload.</summary>
    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Size);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], MmapOffset);
    }

    /// <summary>The payload's bytes.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[SizeInBytes];
        Write(bytes);
        return bytes;
    }
}

/// <summary>
/// The buffer of descriptors in flight ("Inflight description"): mmap size u64 at 0, mmap offset u64 at 8, number of
/// queues u16 at 16, queue size u16 at 18. The fields end at 20; QEMU, libvhost-user and rust-vmm send the C
/// structure, which ends at 24. Both are taken, 24 bytes are written.
/// </summary>
/// <param name="MmapSize">Bytes of the buffer.</param>
/// <param name="MmapOffset">Where in the file it begins.</param>
/// <param name="Queues">Number of rings.</param>
/// <param name="QueueSize">Descriptors per ring.</param>
public readonly record struct InflightPayload(ulong MmapSize, ulong MmapOffset, ushort Queues, ushort QueueSize)
{
    /// <summary>Bytes written.</summary>
    public const int SizeInBytes = 24;

    /// <summary>The fewest bytes taken.</summary>
    public const int MinSizeInBytes = 20;

    /// <summary>Reads the payload; false when its size is wrong.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out InflightPayload payload)
    {
        payload = default;
        if (bytes.Length is not (SizeInBytes or MinSizeInBytes))
        {
            return false;
        }

        payload = new InflightPayload(
            BinaryPrimitives.ReadUInt64LittleEndian(bytes),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[16..]),
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[18..]));
        return true;
    }

    /// <summary>Writes the payload.</summary>
    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, MmapSize);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], MmapOffset);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[16..], Queues);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[18..], QueueSize);
        bytes[MinSizeInBytes..SizeInBytes].Clear();
    }

    /// <summary>The payload's bytes.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[SizeInBytes];
        Write(bytes);
        return bytes;
    }
}

/// <summary>What an IOTLB message says (the kernel's VHOST_IOTLB_* numbers).</summary>
public enum IotlbType : byte
{
    /// <summary>The back-end lacks a translation.</summary>
    Miss = 1,

    /// <summary>A translation is given.</summary>
    Update = 2,

    /// <summary>A translation is withdrawn.</summary>
    Invalidate = 3,

    /// <summary>An access was refused.</summary>
    AccessFail = 4,
}

/// <summary>Which accesses a translation is for (the kernel's VHOST_ACCESS_* numbers).</summary>
[Flags]
public enum IotlbAccess : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Reading.</summary>
    ReadOnly = 1,

    /// <summary>Writing.</summary>
    WriteOnly = 2,

    /// <summary>Both.</summary>
    ReadWrite = 3,
}

/// <summary>
/// A translation ("An IOTLB message", the kernel's vhost_iotlb_msg): iova u64 at 0, size u64 at 8, user address u64 at
/// 16, permissions u8 at 24, type u8 at 25. The fields end at 26, the C structure that is sent ends at 32.
/// </summary>
/// <param name="Iova">The address that the guest uses.</param>
/// <param name="Size">Bytes.</param>
/// <param name="UserAddress">The front-end's virtual address.</param>
/// <param name="Access">What is permitted.</param>
/// <param name="Type">What the message says.</param>
public readonly record struct IotlbPayload(ulong Iova, ulong Size, ulong UserAddress, IotlbAccess Access, IotlbType Type)
{
    /// <summary>Bytes written.</summary>
    public const int SizeInBytes = 32;

    /// <summary>The fewest bytes taken.</summary>
    public const int MinSizeInBytes = 26;

    /// <summary>Reads the payload; false when its size is wrong.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out IotlbPayload payload)
    {
        payload = default;
        if (bytes.Length is not (SizeInBytes or MinSizeInBytes))
        {
            return false;
        }

        payload = new IotlbPayload(
            BinaryPrimitives.ReadUInt64LittleEndian(bytes),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
            (IotlbAccess)bytes[24],
            (IotlbType)bytes[25]);
        return true;
    }

    /// <summary>Writes the payload.</summary>
    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Iova);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], Size);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], UserAddress);
        bytes[24] = (byte)Access;
        bytes[25] = (byte)Type;
        bytes[MinSizeInBytes..SizeInBytes].Clear();
    }

    /// <summary>The payload's bytes.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[SizeInBytes];
        Write(bytes);
        return bytes;
    }
}

/// <summary>
/// A transfer of internal state ("Device state transfer parameters"): direction u32 at 0, phase u32 at 4; one fd comes
/// along.
/// </summary>
/// <param name="Direction">0 = save (the back-end writes), 1 = load (the back-end reads).</param>
/// <param name="Phase">0 = the device is stopped; there is no other.</param>
public readonly record struct DeviceStatePayload(uint Direction, uint Phase)
{
    /// <summary>Bytes on the wire.</summary>
    public const int SizeInBytes = 8;

    /// <summary>The back-end writes its state.</summary>
    public const uint Save = 0;

    /// <summary>The back-end reads its state.</summary>
    public const uint Load = 1;

    /// <summary>The only phase: all rings are stopped.</summary>
    public const uint Stopped = 0;

    /// <summary>Reads the payload; false when its size is wrong.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out DeviceStatePayload payload)
    {
        bool fits = VringState.TryRead(bytes, out VringState pair);
        payload = new DeviceStatePayload(pair.Index, pair.Num);
        return fits;
    }

    /// <summary>Writes the payload.</summary>
    public void Write(Span<byte> bytes) => new VringState(Direction, Phase).Write(bytes);

    /// <summary>The payload's bytes.</summary>
    public byte[] ToBytes() => new VringState(Direction, Phase).ToBytes();
}
