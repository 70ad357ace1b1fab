using System.Buffers.Binary;
using Ringmaster.Native.Tap;

namespace Ringmaster.Native.Virtio;

/// <summary>
/// The configuration space of a network device (virtio 1.3, section 5.1.4): mac 6 bytes at 0, status u16 at 6,
/// max_virtqueue_pairs u16 at 8, mtu u16 at 10, speed u32 at 12, duplex u8 at 16; then, all zero here, what belongs to
/// RSS and hash reports.
/// </summary>
/// <param name="Mac">The guest's address; zero unless MAC is offered.</param>
/// <param name="Status">Of use when STATUS is offered; see <see cref="LinkUp"/>.</param>
/// <param name="MaxQueuePairs">Of use when MQ is offered.</param>
/// <param name="Mtu">Of use when MTU is offered.</param>
public readonly record struct VirtioNetConfig(MacAddress Mac, ushort Status, ushort MaxQueuePairs, ushort Mtu)
{
    /// <summary>Bytes of the whole space, as of virtio 1.3.</summary>
    public const int SizeInBytes = 28;

    /// <summary>VIRTIO_NET_S_LINK_UP.</summary>
    public const ushort LinkUp = 1;

    /// <summary>VIRTIO_NET_S_ANNOUNCE: the guest is asked to announce itself.</summary>
    public const ushort Announce = 2;

    private const uint UnknownSpeed = 0xffffffff;
    private const byte UnknownDuplex = 0xff;

    /// <summary>Copies a piece of the space; what lies behind its end reads as zero.</summary>
    /// <param name="offset">Where the piece begins.</param>
    /// <param name="destination">Filled whole.</param>
    public void Read(uint offset, Span<byte> destination)
    {
        destination.Clear();
        if (offset < SizeInBytes)
        {
            ReadOnlySpan<byte> piece = ToBytes().AsSpan((int)offset);
            piece[..Math.Min(piece.Length, destination.Length)].CopyTo(destination);
        }
    }

    /// <summary>The whole space.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[SizeInBytes];
        Mac.CopyTo(bytes);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(6), Status);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), MaxQueuePairs);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(10), Mtu);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), UnknownSpeed);
        bytes[16] = UnknownDuplex;
        return bytes;
    }
}
