using System.Runtime.InteropServices;

namespace Ringmaster.Native.Virtio;

/// <summary>Descriptor flags; the numbers are those of virtio 1.3 sections 2.7.5 and 2.8.</summary>
[Flags]
internal enum DescriptorFlags : ushort
{
    None = 0,

    /// <summary>The chain goes on.</summary>
    Next = 1 << 0,

    /// <summary>The device writes this buffer (else it reads it).</summary>
    Write = 1 << 1,

    /// <summary>The buffer is a table of descriptors.</summary>
    Indirect = 1 << 2,

    /// <summary>Packed ring: the driver's wrap counter when made available.</summary>
    Available = 1 << 7,

    /// <summary>Packed ring: the device's wrap counter when used.</summary>
    Used = 1 << 15,
}

/// <summary>
/// A descriptor of a split ring or of its indirect tables (virtio 1.3 section 2.7.5), little-endian:
/// <code>
/// 0  le64 address   guest address of the buffer
/// 8  le32 length    bytes
/// 12 le16 flags     DescriptorFlags
/// 14 le16 next      the chain's next descriptor, where Next is set
/// </code>
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct SplitDescriptor
{
    internal const int Size = 16;

    internal ulong Address;
    internal uint Length;
    internal DescriptorFlags Flags;
    internal ushort Next;
}

/// <summary>
/// A descriptor of a packed ring or of its indirect tables (virtio 1.3 section 2.8.13), little-endian:
/// <code>
/// 0  le64 address   guest address of the buffer; means nothing once used
/// 8  le32 length    bytes; once used: bytes written, where Write is set
/// 12 le16 id        buffer id, in the last descriptor of a chain; once used: of the chain
/// 14 le16 flags     DescriptorFlags
/// </code>
/// The last three are one aligned word (<see cref="PackedTail"/>), so that they are read, and written, in one access.
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct PackedDescriptor
{
    internal const int Size = 16;

    internal ulong Address;
    internal PackedTail Tail;
}

/// <summary>
/// Length, id and flags of a <see cref="PackedDescriptor"/>: bits 0-31, 32-47 and 48-63 of a little-endian word.
/// </summary>
internal readonly record struct PackedTail(ulong Word)
{
    internal PackedTail(uint length, ushort id, DescriptorFlags flags)
        : this(length | ((ulong)id << 32) | ((ulong)flags << 48))
    {
    }

    internal uint Length => (uint)Word;

    internal ushort Id => (ushort)(Word >> 32);

    internal DescriptorFlags Flags => (DescriptorFlags)(Word >> 48);
}
