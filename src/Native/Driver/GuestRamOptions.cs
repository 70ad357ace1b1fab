using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Driver;

/// <summary>One piece of guest memory as the guest's half lays it out.</summary>
/// <param name="GuestAddress">Guest-physical address of the first byte; a multiple of the page size.</param>
/// <param name="Size">Bytes; a multiple of the page size.</param>
public readonly record struct RamPiece(ulong GuestAddress, ulong Size);

/// <summary>How <see cref="GuestRam"/> is made.</summary>
public sealed record GuestRamOptions
{
    /// <summary>The pieces, ascending and not overlapping. Neighbours may touch (adjacent regions) or leave a hole.</summary>
    public IReadOnlyList<RamPiece> Pieces { get; init; } = [new RamPiece(0, 64UL << 20)];

    /// <summary>
    /// What is added to a guest-physical address to get the front-end's virtual address. Nothing is mapped there: a
    /// back-end must treat user addresses as numbers.
    /// </summary>
    public ulong UserOffset { get; init; } = 0x5500_0000_0000;

    /// <summary>True: one memfd holds all pieces one after another (mmap offsets, as QEMU does); false: one memfd each.</summary>
    public bool OneFile { get; init; }

    /// <summary>Bytes of unused file before the first piece of each memfd; a multiple of the page size.</summary>
    public ulong LeadingBytes { get; init; }

    /// <summary>True: the memfds allow seals (<c>MFD_ALLOW_SEALING</c>).</summary>
    public bool Sealable { get; init; } = true;

    /// <summary>Bytes of a huge page (2 MiB or 1 GiB), or 0 for ordinary pages.</summary>
    public ulong HugePageSize { get; init; }

    /// <summary>Some memory in one piece, at guest address 0.</summary>
    /// <param name="megabytes">MiB.</param>
    public static GuestRamOptions OfSize(int megabytes) => new() { Pieces = [new RamPiece(0, (ulong)megabytes << 20)] };

    internal MemoryRegionLayout[] Layouts()
    {
        var layouts = new List<MemoryRegionLayout>(Pieces.Count);
        ulong offset = LeadingBytes;
        foreach (RamPiece piece in Pieces)
        {
            layouts.Add(new MemoryRegionLayout(piece.GuestAddress, piece.Size, piece.GuestAddress + UserOffset, offset));
            offset = OneFile ? offset + piece.Size : LeadingBytes;
        }

        return [.. layouts];
    }
}
