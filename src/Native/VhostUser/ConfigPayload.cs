using System.Buffers.Binary;

namespace Ringmaster.Native.VhostUser;

/// <summary>
/// A piece of the configuration space ("Virtio device config space"): offset u32 at 0, size u32 at 4, flags u32 at 8, the
/// piece from 12. A failing back-end answers GET_CONFIG with no bytes at all.
/// </summary>
/// <param name="Offset">Where the piece begins.</param>
/// <param name="Size">Its bytes.</param>
/// <param name="Flags">0 = the guest writes, 1 = live migration writes.</param>
/// <param name="Bytes">The piece; as long as <see cref="Size"/> says.</param>
public readonly record struct ConfigPayload(uint Offset, uint Size, uint Flags, ReadOnlyMemory<byte> Bytes)
{
    /// <summary>Bytes before the piece.</summary>
    public const int HeaderSize = 12;

    /// <summary>Bytes of the whole configuration space (the specification's VHOST_USER_MAX_CONFIG_SIZE).</summary>
    public const int MaxSize = 256;

    /// <summary>Reads the payload; false when its size is wrong or the piece does not lie within the space.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out ConfigPayload payload)
    {
        payload = default;
        if (bytes.Length < HeaderSize)
        {
            return false;
        }

        uint offset = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        uint size = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        if (size != bytes.Length - HeaderSize || size > MaxSize || offset > MaxSize - size)
        {
            return false;
        }

        payload = new ConfigPayload(offset, size, flags, bytes[HeaderSize..].ToArray());
        return true;
    }

    /// <summary>Writes the payload: <see cref="HeaderSize"/> bytes and the piece.</summary>
    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Offset);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], Size);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], Flags);
        Bytes.Span.CopyTo(bytes[HeaderSize..]);
    }

    /// <summary>The payload's bytes.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[HeaderSize + Bytes.Length];
        Write(bytes);
        return bytes;
    }

    /// <inheritdoc/>
    public bool Equals(ConfigPayload other) =>
        (Offset, Size, Flags) == (other.Offset, other.Size, other.Flags) && Bytes.Span.SequenceEqual(other.Bytes.Span);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Offset, Size, Flags);
}
