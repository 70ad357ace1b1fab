using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Memory;

/// <summary>
/// The memory in which rings note which chains they are about to return (GET_INFLIGHT_FD, SET_INFLIGHT_FD). The front-end
/// keeps it over a crash of the back-end. Reference-counted; every member may be used from any thread.
/// <code>
/// queue 0   queue 1   ...   each: a header and one entry a descriptor, rounded up to 64 bytes
///
///          header  entry
/// split    16      16      the sizes that DPDK and libvhost-user have, too
/// packed   32      32
/// </code>
/// </summary>
/// <remarks>
/// What stands in it is as hostile as guest memory, for the front-end writes it too. A queue belongs to the worker of its ring
/// while the ring runs.
/// </remarks>
public sealed unsafe class InflightRegion
{
    /// <summary>Queues begin at multiples of this many bytes, and so must the region in its file.</summary>
    public const int Alignment = 64;

    private const ulong SplitHeader = 16;
    private const ulong SplitEntry = 16;
    private const ulong PackedHeader = 32;
    private const ulong PackedEntry = 32;

    private readonly FileMapping _mapping;
    private ReferenceCount _references = new();

    private InflightRegion(FileMapping mapping, ulong size, int queues, int queueSize, OwnedFd? file)
    {
        _mapping = mapping;
        Size = size;
        Queues = queues;
        QueueSize = queueSize;
        File = file;
    }

    /// <summary>Bytes.</summary>
    public ulong Size { get; }

    /// <summary>For how many rings there is room: those from 0 on.</summary>
    public int Queues { get; }

    /// <summary>For how many descriptors of each ring there is room.</summary>
    public int QueueSize { get; }

    /// <summary>The file of a region that was made here, to be given to the front-end; owned by this object. Else null.</summary>
    public OwnedFd? File { get; }

    /// <summary>
    /// Called after every store that the rings make in it, or while they return chains; so that a test can end the world between
    /// any two of them. Null outside tests.
    /// </summary>
    internal Action? Stored { get; set; }

    /// <summary>Bytes that so many queues need.</summary>
    public static ulong SizeOf(int queues, int queueSize, bool packed) => (ulong)queues * Stride(queueSize, packed);

    /// <summary>Makes a region in a sealed file of its own.</summary>
    /// <returns>A region whose one reference belongs to the caller.</returns>
    /// <exception cref="GuestMemoryException">There is no memory.</exception>
    public static InflightRegion Create(int queues, int queueSize, bool packed)
    {
        ulong size = SizeOf(queues, queueSize, packed);
        OwnedFd? file = null;
        try
        {
            file = SealedFile.Create("ringmaster-inflight", size);
            return Map(size, 0, queues, queueSize, file, keep: true);
        }
        catch (Exception failure) when (failure is LinuxException or GuestMemoryException)
        {
            file?.Dispose();
            throw new GuestMemoryException($"an in-flight region of 0x{size:x} bytes cannot be made: {failure.Message}");
        }
    }

    /// <summary>Maps a region that a front-end hands back.</summary>
    /// <param name="size">Bytes of it.</param>
    /// <param name="offset">Where it begins in the file; a multiple of <see cref="Alignment"/>.</param>
    /// <param name="queues">For how many rings it was made.</param>
    /// <param name="queueSize">For how many descriptors of each.</param>
    /// <param name="file">Borrowed during the call.</param>
    /// <returns>A region whose one reference belongs to the caller.</returns>
    /// <exception cref="GuestMemoryException">It cannot be used, for example because the file is shorter.</exception>
    public static InflightRegion Map(ulong size, ulong offset, int queues, int queueSize, OwnedFd file) =>
        Map(size, offset, queues, queueSize, file, keep: false);

    /// <summary>Takes a reference. Only somebody who knows that one is held may call this.</summary>
    /// <exception cref="ObjectDisposedException">The last reference has gone.</exception>
    public void Retain() => _references.Retain(this);

    /// <summary>Gives a reference back; the last one unmaps the region.</summary>
    /// <exception cref="InvalidOperationException">More was released than retained.</exception>
    public void Release()
    {
        if (_references.Release())
        {
            _mapping.Dispose();
            File?.Dispose();
        }
    }

    /// <summary>Where the queue of a ring lies; null when the ring is not tracked, or cannot be.</summary>
    /// <param name="ring">The ring's number.</param>
    /// <param name="ringSize">Its descriptors.</param>
    /// <param name="packed">Its format.</param>
    /// <param name="problem">Why it cannot be tracked, else null.</param>
    internal byte* QueueOf(int ring, int ringSize, bool packed, out string? problem)
    {
        problem = null;
        if (ring >= Queues)
        {
            return null;
        }

        if (ringSize > QueueSize)
        {
            problem = $"the in-flight region is for rings of {QueueSize} descriptors, not {ringSize}";
            return null;
        }

        if (SizeOf(Queues, QueueSize, packed) > Size)
        {
            problem = "the in-flight region is for rings of the other format";
            return null;
        }

        return _mapping.Host + ((ulong)ring * Stride(QueueSize, packed));
    }

    private static ulong Stride(int queueSize, bool packed)
    {
        ulong bytes = packed ? PackedHeader + (PackedEntry * (ulong)queueSize) : SplitHeader + (SplitEntry * (ulong)queueSize);
        return (bytes + Alignment - 1) & ~(ulong)(Alignment - 1);
    }

    private static InflightRegion Map(ulong size, ulong offset, int queues, int queueSize, OwnedFd file, bool keep)
    {
        string? reason = null;
        FileMapping? mapping = offset % Alignment == 0 ? FileMapping.TryMap(file, offset, size, out reason) : null;
        return mapping is null
            ? throw new GuestMemoryException(
                $"in-flight region size 0x{size:x} offset 0x{offset:x}: {reason ?? $"the offset is no multiple of {Alignment}"}")
            : new InflightRegion(mapping, size, queues, queueSize, keep ? file : null);
    }
}
