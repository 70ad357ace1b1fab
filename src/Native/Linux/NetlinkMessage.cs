using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Ringmaster.Native.Linux;

/// <summary>
/// Builds one netlink request and takes answers apart. The header: length u32 at 0, type u16 at 4, flags u16 at 6,
/// sequence number u32 at 8, port u32 at 12. An attribute: length u16 (header included), type u16, data, padded to 4.
/// Numbers are little-endian like the host.
/// </summary>
internal sealed class NetlinkMessage
{
    internal const int HeaderSize = 16;
    private const int AttributeHeaderSize = 4;
    private const ushort AttributeTypeMask = 0x3fff;

    private readonly ArrayBufferWriter<byte> _bytes = new();
    private readonly ushort _type;
    private readonly ushort _flags;

    internal NetlinkMessage(ushort type, ushort flags, ReadOnlySpan<byte> body)
    {
        _type = type;
        _flags = flags;
        _bytes.Write(stackalloc byte[HeaderSize]);
        _bytes.Write(body);
    }

    internal NetlinkMessage Add(ushort attribute, ReadOnlySpan<byte> data)
    {
        Span<byte> header = stackalloc byte[AttributeHeaderSize];
        BinaryPrimitives.WriteUInt16LittleEndian(header, (ushort)(AttributeHeaderSize + data.Length));
        BinaryPrimitives.WriteUInt16LittleEndian(header[2..], attribute);
        _bytes.Write(header);
        _bytes.Write(data);
        _bytes.Write(stackalloc byte[Align(data.Length) - data.Length]);
        return this;
    }

    internal NetlinkMessage Add(ushort attribute, uint value)
    {
        Span<byte> data = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        return Add(attribute, data);
    }

    internal NetlinkMessage Add(ushort attribute, string text) => Add(attribute, Encoding.UTF8.GetBytes(text + "\0"));

    internal byte[] ToBytes(uint sequence)
    {
        byte[] bytes = _bytes.WrittenSpan.ToArray();
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)bytes.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(4), _type);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(6), _flags);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), sequence);
        return bytes;
    }

    /// <summary>The attributes by type; the last one of a type counts.</summary>
    internal static Dictionary<ushort, ReadOnlyMemory<byte>> Attributes(ReadOnlyMemory<byte> bytes)
    {
        var found = new Dictionary<ushort, ReadOnlyMemory<byte>>();
        while (bytes.Length >= AttributeHeaderSize)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(bytes.Span);
            if (length < AttributeHeaderSize || length > bytes.Length)
            {
                break;
            }

            ushort type = (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(bytes.Span[2..]) & AttributeTypeMask);
            found[type] = bytes[AttributeHeaderSize..length];
            bytes = bytes[Math.Min(Align(length), bytes.Length)..];
        }

        return found;
    }

    internal static int Align(int length) => (length + 3) & ~3;
}
