using System.Runtime.InteropServices;

namespace Ringmaster.Native.Virtio;

/// <summary>
/// The begin of a split ring's queue in the in-flight region (vhost-user specification, "Inflight I/O tracking",
/// QueueRegionSplit). The states follow, one a descriptor.
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct SplitQueueRegion
{
    internal ulong Features;

    /// <summary>0: nothing was written yet; 1: as described here.</summary>
    internal ushort Version;

    /// <summary>How many states follow.</summary>
    internal ushort DescriptorCount;

    /// <summary>The head of the chain returned last; <see cref="SplitDescriptorState.Next"/> leads on to older ones.</summary>
    internal ushort LastBatchHead;

    /// <summary>The used index that the marks are right for.</summary>
    internal ushort UsedIndex;
}

/// <summary>What is known of the chain with one head (DescStateSplit).</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct SplitDescriptorState
{
    /// <summary>1: taken and not returned.</summary>
    [FieldOffset(0)]
    internal byte Inflight;

    /// <summary>The chain returned before this one.</summary>
    [FieldOffset(6)]
    internal ushort Next;

    /// <summary>Tells in which order chains were taken.</summary>
    [FieldOffset(8)]
    internal ulong Counter;
}

/// <summary>
/// The begin of a packed ring's queue in the in-flight region (QueueRegionPacked). The states follow, one a descriptor. What
/// belongs to the batch under way stands beside what was before it ("old"), so that either can be taken up.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct PackedQueueRegion
{
    [FieldOffset(0)]
    internal ulong Features;

    /// <summary>0: nothing was written yet; 1: as described here.</summary>
    [FieldOffset(8)]
    internal ushort Version;

    /// <summary>How many states follow.</summary>
    [FieldOffset(10)]
    internal ushort DescriptorCount;

    /// <summary>The first free state; <see cref="PackedDescriptorState.Next"/> leads on, at the end past the last one.</summary>
    [FieldOffset(12)]
    internal ushort FreeHead;

    [FieldOffset(14)]
    internal ushort OldFreeHead;

    [FieldOffset(16)]
    internal ushort UsedIndex;

    [FieldOffset(18)]
    internal ushort OldUsedIndex;

    [FieldOffset(20)]
    internal byte UsedWrap;

    [FieldOffset(21)]
    internal byte OldUsedWrap;

    /// <summary>
    /// The last four fields and padding as one word, which is how they are written: a crash between an index and its wrap counter
    /// would leave a position where the ring never was.
    /// </summary>
    [FieldOffset(16)]
    internal ulong Used;
}

/// <summary>What is known of one descriptor (DescStatePacked); of the first of a chain, also of the chain.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct PackedDescriptorState
{
    /// <summary>1: taken and not returned. First of a chain only.</summary>
    [FieldOffset(0)]
    internal byte Inflight;

    /// <summary>The next state of the chain, or of the free ones.</summary>
    [FieldOffset(2)]
    internal ushort Next;

    /// <summary>The chain's last state. First of a chain only.</summary>
    [FieldOffset(4)]
    internal ushort Last;

    /// <summary>How many states the chain has. First of a chain only.</summary>
    [FieldOffset(6)]
    internal ushort Count;

    /// <summary>Tells in which order chains were taken. First of a chain only.</summary>
    [FieldOffset(8)]
    internal ulong Counter;

    [FieldOffset(16)]
    internal ushort Id;

    [FieldOffset(18)]
    internal DescriptorFlags Flags;

    [FieldOffset(20)]
    internal uint Length;

    [FieldOffset(24)]
    internal ulong Address;
}
