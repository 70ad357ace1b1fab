namespace Ringmaster.Native.Virtio;

/// <summary>What a look at the available ring gave.</summary>
internal enum PopStatus
{
    /// <summary>Nothing is available.</summary>
    Empty,

    /// <summary>A legal chain.</summary>
    Popped,

    /// <summary>A chain that breaks the rules; it must be returned with length 0.</summary>
    BadChain,

    /// <summary>The ring itself is broken: an index that cannot be.</summary>
    BrokenRing,

    /// <summary>
    /// The chain stays where it is, as if never looked at, because the IOTLB has no translation for an address in it:
    /// <see cref="IVirtqueue{TSelf}.Missing"/>.
    /// </summary>
    Missing,
}

/// <summary>One descriptor chain taken from a ring, and where its buffers stand in the <see cref="VectorSpace"/>.</summary>
internal struct Chain
{
    /// <summary>Split: the head's index. Packed: the buffer id.</summary>
    internal ushort Id;

    /// <summary>How many ring slots the chain took: 1 in a split ring, its descriptors in a packed one.</summary>
    internal ushort Slots;

    /// <summary>Popped or BadChain.</summary>
    internal PopStatus Status;

    /// <summary>Index of the first vector.</summary>
    internal int FirstVector;

    /// <summary>Number of vectors; 0 for a bad chain.</summary>
    internal int VectorCount;

    /// <summary>Bytes in all vectors.</summary>
    internal ulong Length;

    /// <summary>Notes that all vectors from <see cref="FirstVector"/> on are the chain's.</summary>
    internal unsafe void TakeVectors(VectorSpace space)
    {
        VectorCount = space.Used - FirstVector;
        for (int i = FirstVector; i < space.Used; i++)
        {
            Length += space.Vectors[i].Length;
        }
    }
}
