using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Numerics;

namespace Ringmaster.Actors.Protocol;

/// <summary>One part of a device's saved state.</summary>
/// <param name="Tag">What it holds; each tag comes once at most.</param>
/// <param name="Optional">A reader that does not know the tag may leave the section out; any other must be refused.</param>
/// <param name="Bytes">Its content.</param>
internal readonly record struct StateSection(ushort Tag, bool Optional, ReadOnlyMemory<byte> Bytes);

/// <summary>
/// A device's saved state as bytes, little-endian: magic u64 at 0, version u16 at 8, kind of device (virtio's number) u16 at 10,
/// length of all u32 at 12; sections, each tag u16, flags u16 (bit 0: optional), length u32, content; CRC-32C of all before, u32.
/// </summary>
internal static class DeviceStateFormat
{
    /// <summary>The most bytes that are read.</summary>
    internal const int MaxSize = 1 << 20;

    private const ulong Magic = 0x5441_5453_4d47_4e52; // "RNGMSTAT"
    private const ushort Version = 1;
    private const ushort OptionalFlag = 1;
    private const int HeaderSize = 16;
    private const int SectionHeaderSize = 8;
    private const int ChecksumSize = sizeof(uint);

    internal static byte[] Write(ushort kind, ImmutableArray<StateSection> sections)
    {
        byte[] bytes = new byte[HeaderSize + sections.Sum(section => SectionHeaderSize + section.Bytes.Length) + ChecksumSize];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), Version);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(10), kind);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), (uint)bytes.Length);
        Span<byte> rest = bytes.AsSpan(HeaderSize);
        foreach (StateSection section in sections)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(rest, section.Tag);
            BinaryPrimitives.WriteUInt16LittleEndian(rest[2..], section.Optional ? OptionalFlag : (ushort)0);
            BinaryPrimitives.WriteUInt32LittleEndian(rest[4..], (uint)section.Bytes.Length);
            section.Bytes.Span.CopyTo(rest[SectionHeaderSize..]);
            rest = rest[(SectionHeaderSize + section.Bytes.Length)..];
        }

        BinaryPrimitives.WriteUInt32LittleEndian(rest, Checksum(bytes.AsSpan(..^ChecksumSize)));
        return bytes;
    }

    /// <summary>Reads what <see cref="Write"/> has written, or what somebody claims to be that.</summary>
    /// <returns>Null, or the reason why it is refused.</returns>
    internal static string? TryRead(ReadOnlyMemory<byte> bytes, ushort kind, out ImmutableArray<StateSection> sections)
    {
        sections = [];
        return CheckFrame(bytes.Span, kind) ?? ReadSections(bytes[HeaderSize..^ChecksumSize], out sections);
    }

    private static string? CheckFrame(ReadOnlySpan<byte> bytes, ushort kind)
    {
        if (bytes.Length < HeaderSize + ChecksumSize || BinaryPrimitives.ReadUInt64LittleEndian(bytes) != Magic)
        {
            return "it is not the state of a device";
        }

        (ushort version, ushort ofKind) =
            (BinaryPrimitives.ReadUInt16LittleEndian(bytes[8..]), BinaryPrimitives.ReadUInt16LittleEndian(bytes[10..]));
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]);
        if (version != Version)
        {
            return $"it is of version {version}, and only version {Version} is known";
        }

        if (ofKind != kind)
        {
            return $"it is of a device of kind {ofKind}, not {kind}";
        }

        if (length != bytes.Length)
        {
            return $"it has {length} bytes, and {bytes.Length} came";
        }

        return BinaryPrimitives.ReadUInt32LittleEndian(bytes[^ChecksumSize..]) == Checksum(bytes[..^ChecksumSize])
            ? null
            : "its checksum is wrong";
    }

    private static string? ReadSections(ReadOnlyMemory<byte> rest, out ImmutableArray<StateSection> sections)
    {
        var found = ImmutableArray.CreateBuilder<StateSection>();
        var tags = new HashSet<ushort>();
        sections = [];
        while (!rest.IsEmpty)
        {
            if (rest.Length < SectionHeaderSize)
            {
                return "a section is cut off";
            }

            ushort tag = BinaryPrimitives.ReadUInt16LittleEndian(rest.Span);
            ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(rest.Span[2..]);
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(rest.Span[4..]);
            rest = rest[SectionHeaderSize..];
            if (length > rest.Length || flags > OptionalFlag || !tags.Add(tag))
            {
                return $"section {tag} makes no sense";
            }

            found.Add(new StateSection(tag, flags == OptionalFlag, rest[..(int)length]));
            rest = rest[(int)length..];
        }

        sections = found.ToImmutable();
        return null;
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte each in bytes)
        {
            crc = BitOperations.Crc32C(crc, each);
        }

        return ~crc;
    }
}
