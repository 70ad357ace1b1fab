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
