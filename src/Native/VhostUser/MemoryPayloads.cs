using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Ringmaster.Native.Memory;

namespace Ringmaster.Native.VhostUser;

/// <summary>
/// One region as it goes over the wire ("Memory region description"): guest address u64 at 0, size u64 at 8, user
/// address u64 at 16, mmap offset u64 at 24.
/// </summary>
internal static class MemoryRegionCodec
{
    internal const int SizeInBytes = 32;

    internal static MemoryRegionLayout Read(ReadOnlySpan<byte> bytes) => new(
        GuestAddress: BinaryPrimitives.ReadUInt64LittleEndian(bytes),
        Size: BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]),
        UserAddress: BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
        MmapOffset: BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]));

    internal static void Write(MemoryRegionLayout region, Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, region.GuestAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], region.Size);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], region.UserAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], region.MmapOffset);
    }
}

/// <summary>
/// The payload of SET_MEM_TABLE ("Multiple memory regions description"): number of regions u32 at 0, padding u32 at 4,
/// the regions from 8. One fd per region comes along, in the same order.
/// </summary>
public static class MemTable
{
    /// <summary>
    /// The most regions taken. The specification sets no number; QEMU sends up to 8, cloud-hypervisor up to 32.
    /// </summary>
    public const int MaxRegions = 32;

    private const int HeaderSize = 8;

    /// <summary>Reads the table. Count and size are checked, the regions themselves are not.</summary>
    /// <param name="bytes">The payload.</param>
    /// <param name="regions">The regions, at least one.</param>
    /// <param name="error">What is wrong, on failure.</param>
    public static bool TryRead(
        ReadOnlySpan<byte> bytes,
        out MemoryRegionLayout[] regions,
        [NotNullWhen(false)] out string? error)
    {
        regions = [];
        error = Check(bytes);
        if (error is not null)
        {
            return false;
        }

        regions = new MemoryRegionLayout[BinaryPrimitives.ReadUInt32LittleEndian(bytes)];
        for (int i = 0; i < regions.Length; i++)
        {
            regions[i] = MemoryRegionCodec.Read(bytes[(HeaderSize + (i * MemoryRegionCodec.SizeInBytes))..]);
        }

        return true;
    }

    /// <summary>The payload's bytes.</summary>
    public static byte[] ToBytes(IReadOnlyList<MemoryRegionLayout> regions)
    {
        byte[] bytes = new byte[HeaderSize + (regions.Count * MemoryRegionCodec.SizeInBytes)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)regions.Count);
        for (int i = 0; i < regions.Count; i++)
        {
            MemoryRegionCodec.Write(regions[i], bytes.AsSpan(HeaderSize + (i * MemoryRegionCodec.SizeInBytes)));
        }

        return bytes;
    }

    private static string? Check(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < HeaderSize)
        {
            return $"a memory table has at least {HeaderSize} bytes, not {bytes.Length}";
        }

        uint count = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        if (count is 0 or > MaxRegions)
        {
            return $"a memory table has 1 to {MaxRegions} regions, not {count}";
        }

        long wanted = HeaderSize + ((long)count * MemoryRegionCodec.SizeInBytes);
        return bytes.Length == wanted ? null : $"a memory table of {count} regions has {wanted} bytes, not {bytes.Length}";
    }
}

/// <summary>
/// The payload of ADD_MEM_REG and REM_MEM_REG ("Single memory region description"): padding u64 at 0, the region from 8.
/// </summary>
/// <param name="Region">The region. Unchecked.</param>
public readonly record struct SingleMemoryRegion(MemoryRegionLayout Region)
{
    /// <summary>Bytes on the wire.</summary>
    public const int SizeInBytes = PaddingSize + MemoryRegionCodec.SizeInBytes;

    private const int PaddingSize = 8;

    /// <summary>Reads the payload; false when its size is wrong.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out SingleMemoryRegion payload)
    {
        bool fits = bytes.Length == SizeInBytes;
        payload = fits ? new SingleMemoryRegion(MemoryRegionCodec.Read(bytes[PaddingSize..])) : default;
        return fits;
    }

    /// <summary>Writes the payload.</summary>
    public void Write(Span<byte> bytes)
    {
        bytes[..PaddingSize].Clear();
        MemoryRegionCodec.Write(Region, bytes[PaddingSize..]);
    }

    /// <summary>The payload's bytes.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[SizeInBytes];
        Write(bytes);
        return bytes;
    }
}
