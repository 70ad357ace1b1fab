using System.Buffers.Binary;
using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// The configuration space of a network card (virtio 1.3 section 5.1.4), little-endian:
/// <code>
///  0  mac                   6 bytes
///  6  status                u16: bit 0 link up
///  8  max_virtqueue_pairs   u16
/// 10  mtu                   u16
/// 12  speed                 u32, 0xffffffff = unknown
/// 16  duplex                u8, 0xff = unknown
/// 17  receive-side scaling  zeros: not offered
/// </code>
/// Zeros follow, to the 256 bytes that a front-end may ask for: cloud-hypervisor reads 24, others what they know of.
/// </summary>
internal static class NetConfigSpace
{
    private const int MacOffset = 0;
    private const int StatusOffset = 6;
    private const int MaxPairsOffset = 8;
    private const int MtuOffset = 10;
    private const int SpeedOffset = 12;
    private const int DuplexOffset = 16;

    private const ushort LinkUp = 1;
    private const uint UnknownSpeed = 0xffffffff;
    private const byte UnknownDuplex = 0xff;

    internal static byte[] ToBytes(SessionState state)
    {
        byte[] space = new byte[ConfigPayload.MaxSize];
        state.Mac.CopyTo(space.AsSpan(MacOffset, MacAddress.Size));
        BinaryPrimitives.WriteUInt16LittleEndian(space.AsSpan(StatusOffset), state.LinkUp ? LinkUp : (ushort)0);
        BinaryPrimitives.WriteUInt16LittleEndian(space.AsSpan(MaxPairsOffset), (ushort)state.Profile.QueuePairs);
        BinaryPrimitives.WriteUInt16LittleEndian(space.AsSpan(MtuOffset), (ushort)(state.Mtu ?? SessionState.DefaultMtu));
        BinaryPrimitives.WriteUInt32LittleEndian(space.AsSpan(SpeedOffset), UnknownSpeed);
        space[DuplexOffset] = UnknownDuplex;
        return space;
    }

    internal static MacAddress MacOf(ReadOnlySpan<byte> space) => new(space.Slice(MacOffset, MacAddress.Size));

    /// <summary>The piece is a part of the MAC.</summary>
    internal static bool IsMac(ConfigPayload piece) => piece.Offset + piece.Size <= MacOffset + MacAddress.Size;
}
