using System.Buffers.Binary;

namespace Ringmaster.Native.VhostUser;

// The payloads of fixed size, kept together on purpose. Numbers are in the byte order of the host, which is little-endian
// everywhere that Ringmaster runs. TryRead takes a payload of exactly the right size; it checks no value.

/// <summary>A single number ("A generic 64-bit integer").</summary>
/// <param name="Value">The number.</param>
public readonly record struct U64Payload(ulong Value)
{
    /// <summary>Bytes on the wire.</summary>
    public const int SizeInBytes = 8;

    /// <summary>Reads the payload; false when its size is wrong.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out U64Payload payload)
    {
        bool fits = bytes.Length == SizeInBytes;
        payload = fits ? new U64Payload(BinaryPrimitives.ReadUInt64LittleEndian(bytes)) : default;
        return fits;
    }

    /// <summary>Writes the payload.</summary>
    public void Write(Span<byte> bytes) => BinaryPrimitives.WriteUInt64LittleEndian(bytes, Value);

    /// <summary>The payload's bytes.</summary>
    public byte[] ToBytes() => BitConverter.GetBytes(Value);
}

/// <summary>
/// A ring and a number ("A vring state description"): index u32 at 0, num u32 at 4. The number is a size, a base, an
/// on/off or a byte order.
/// </summary>
/// <param name="Index">The ring.</param>
/// <param name="Num">The number.</param>
public readonly record struct VringState(uint Index, uint Num)
{
    /// <summary>Bytes on the wire.</summary>
    public const int SizeInBytes = 8;

    /// <summary>Reads the payload; false when its size is wrong.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out VringState payload)
    {
        payload = default;
        if (bytes.Length != SizeInBytes)
        {
            return false;
        }

        payload = new VringState(
            BinaryPrimitives.ReadUInt32LittleEndian(bytes),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]));
        return true;
    }

    /// <summary>Writes the payload.</summary>
    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Index);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], Num);
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
/// A ring's addresses ("A vring address description"): index u32 at 0, flags u32 at 4, descriptor u64 at 8, used u64 at
/// 16, available u64 at 24, log u64 at 32. All but the log's are the front-end's virtual addresses.
/// </summary>
/// <param name="Index">The ring.</param>
/// <param name="Flags">See <see cref="LogFlag"/>.</param>
/// <param name="Descriptor">The descriptor table, or the packed ring.</param>
/// <param name="Used">The used ring, or device event suppression.</param>
/// <param name="Available">The available ring, or driver event suppression.</param>
/// <param name="Log">Guest-physical address of the used ring, for the dirty log.</param>
public readonly record struct VringAddresses(uint Index, uint Flags, ulong Descriptor, ulong Used, ulong Available, ulong Log)
{
    /// <summary>Bytes on the wire.</summary>
    public const int SizeInBytes = 40;

    /// <summary>VHOST_VRING_F_LOG: writes to the used ring are logged.</summary>
    public const uint LogFlag = 0x1;

    /// <summary><see cref="Flags"/> has <see cref="LogFlag"/>.</summary>
    public bool LogsUsed => (Flags & LogFlag) != 0;

    /// <summary>Reads the payload; false when its size is wrong.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out VringAddresses payload)
    {
        payload = default;
        if (bytes.Length != SizeInBytes)
        {
            return false;
        }

        payload = new VringAddresses(
            BinaryPrimitives.ReadUInt32LittleEndian(bytes),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[32..]));
        return true;
    }

    /// <summary>Writes the payload.</summary>
    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Index);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], Flags);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], Descriptor);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], Used);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], Available);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[32..], Log);
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
/// What comes with a kick, call or error fd: a u64 whose bits 0-7 are the ring and whose bit 8 says that there is no fd.
/// </summary>
/// <param name="Index">The ring.</param>
/// <param name="HasNoFd">No descriptor comes along; the ring is polled.</param>
public readonly record struct VringFd(byte Index, bool HasNoFd)
{
    /// <summary>Bytes on the wire.</summary>
    public const int SizeInBytes = 8;

    private const ulong IndexMask = 0xff;
    private const ulong NoFdFlag = 0x100;

    /// <summary>Reads the payload; false when its size is wrong.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out VringFd payload)
    {
        bool fits = U64Payload.TryRead(bytes, out U64Payload number);
        payload = new VringFd((byte)(number.Value & IndexMask), (number.Value & NoFdFlag) != 0);
        return fits;
    }

    /// <summary>Writes the payload.</summary>
    public void Write(Span<byte> bytes) => new U64Payload(Index | (HasNoFd ? NoFdFlag : 0)).Write(bytes);

    /// <summary>The payload's bytes.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[SizeInBytes];
        Write(bytes);
        return bytes;
    }
}
