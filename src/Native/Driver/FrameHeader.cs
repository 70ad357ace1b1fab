using System.Buffers.Binary;

namespace Ringmaster.Native.Driver;

/// <summary>
/// The virtio-net header of one frame (virtio 1.3 section 5.1.6), as values. On the wire: flags u8, gso_type u8, hdr_len u16,
/// gso_size u16, csum_start u16, csum_offset u16, and, unless the legacy header of 10 bytes is in force, num_buffers u16.
/// </summary>
/// <param name="Flags">NEEDS_CSUM 1, DATA_VALID 2.</param>
/// <param name="GsoType">One of the Gso constants, perhaps with <see cref="GsoEcn"/>.</param>
/// <param name="HeaderLength">Bytes of Ethernet, IP and transport headers together.</param>
/// <param name="GsoSize">Payload bytes of each segment.</param>
/// <param name="ChecksumStart">Where the checksum begins.</param>
/// <param name="ChecksumOffset">Where it is to be put, from there.</param>
/// <param name="Buffers">Received frames: how many buffers it spans. Sent frames: 0.</param>
public readonly record struct FrameHeader(
    byte Flags,
    byte GsoType,
    ushort HeaderLength,
    ushort GsoSize,
    ushort ChecksumStart,
    ushort ChecksumOffset,
    ushort Buffers)
{
    /// <summary>Bytes of the header with num_buffers.</summary>
    public const int Size = 12;

    /// <summary>Bytes of the legacy header (neither VERSION_1 nor MRG_RXBUF).</summary>
    public const int LegacySize = 10;

    /// <summary>Flag: the checksum is to be completed.</summary>
    public const byte NeedsChecksum = 1;

    /// <summary>Flag: the checksum was found to be right.</summary>
    public const byte DataValid = 2;

    /// <summary>Not a GSO frame.</summary>
    public const byte GsoNone = 0;

    /// <summary>TCP over IPv4.</summary>
    public const byte GsoTcp4 = 1;

    /// <summary>UDP fragments.</summary>
    public const byte GsoUdp = 3;

    /// <summary>TCP over IPv6.</summary>
    public const byte GsoTcp6 = 4;

    /// <summary>UDP segments.</summary>
    public const byte GsoUdpSegments = 5;

    /// <summary>Bit: ECN is in use.</summary>
    public const byte GsoEcn = 0x80;

    /// <summary>Reads a header of 10 or 12 bytes.</summary>
    public static FrameHeader Read(ReadOnlySpan<byte> bytes) => new(
        bytes[0],
        bytes[1],
        BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]),
        BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]),
        BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]),
        BinaryPrimitives.ReadUInt16LittleEndian(bytes[8..]),
        bytes.Length >= Size ? BinaryPrimitives.ReadUInt16LittleEndian(bytes[10..]) : (ushort)1);

    /// <summary>Writes a header of 10 or 12 bytes.</summary>
    public void Write(Span<byte> bytes)
    {
        bytes[0] = Flags;
        bytes[1] = GsoType;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[2..], HeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[4..], GsoSize);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[6..], ChecksumStart);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[8..], ChecksumOffset);
        if (bytes.Length >= Size)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(bytes[10..], Buffers);
        }
    }
}
