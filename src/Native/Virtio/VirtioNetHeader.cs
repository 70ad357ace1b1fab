using System.Buffers.Binary;

namespace Ringmaster.Native.Virtio;

/// <summary>
/// What stands before every frame (virtio 1.3, section 5.1.6; the kernel's virtio_net_hdr_v1): flags u8 at 0, GSO type
/// u8 at 1, header length u16 at 2, GSO size u16 at 4, checksum start u16 at 6, checksum offset u16 at 8, number of
/// buffers u16 at 10.
/// </summary>
/// <param name="Flags">See the <c>Flag...</c> constants.</param>
/// <param name="GsoType">One of the <c>Gso...</c> constants, perhaps with <see cref="GsoEcn"/>.</param>
/// <param name="HeaderLength">Bytes of Ethernet, IP and TCP headers, as a hint.</param>
/// <param name="GsoSize">Payload bytes of each segment.</param>
/// <param name="ChecksumStart">Where the checksum begins to count.</param>
/// <param name="ChecksumOffset">Where, from the start, the checksum is to be put.</param>
/// <param name="Buffers">Descriptor chains that hold the frame; 1 but for merged receive buffers.</param>
public readonly record struct VirtioNetHeader(
    byte Flags,
    byte GsoType,
    ushort HeaderLength,
    ushort GsoSize,
    ushort ChecksumStart,
    ushort ChecksumOffset,
    ushort Buffers)
{
    /// <summary>Bytes of the header with VERSION_1 or MRG_RXBUF.</summary>
    public const int Size = 12;

    /// <summary>Bytes of the header of a legacy device without MRG_RXBUF: it ends before the number of buffers.</summary>
    public const int LegacySize = 10;

    /// <summary>Where the number of buffers stands.</summary>
    public const int BuffersOffset = 10;

    /// <summary>The checksum is to be completed.</summary>
    public const byte FlagNeedsCsum = 1;

    /// <summary>The checksum has been verified.</summary>
    public const byte FlagDataValid = 2;

    /// <summary>One frame.</summary>
    public const byte GsoNone = 0;

    /// <summary>Unsegmented TCP over IPv4.</summary>
    public const byte GsoTcp4 = 1;

    /// <summary>Unfragmented UDP.</summary>
    public const byte GsoUdp = 3;

    /// <summary>Unsegmented TCP over IPv6.</summary>
    public const byte GsoTcp6 = 4;

    /// <summary>Unsegmented UDP.</summary>
    public const byte GsoUdpL4 = 5;

    /// <summary>Added to a TCP type: the TCP has ECN set.</summary>
    public const byte GsoEcn = 0x80;

    /// <summary>Reads a header; false when there are fewer than <see cref="Size"/> bytes.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out VirtioNetHeader header)
    {
        header = default;
        if (bytes.Length < Size)
        {
            return false;
        }

        header = new VirtioNetHeader(
            bytes[0],
            bytes[1],
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]),
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]),
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]),
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[BuffersOffset..]));
        return true;
    }

    /// <summary>Writes the header's <see cref="Size"/> bytes.</summary>
    public void Write(Span<byte> bytes)
    {
        bytes[0] = Flags;
        bytes[1] = GsoType;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[2..], HeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[4..], GsoSize);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[6..], ChecksumStart);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[8..], ChecksumOffset);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[BuffersOffset..], Buffers);
    }
}
