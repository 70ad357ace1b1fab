using System.Runtime.InteropServices;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Virtio;

/// <summary>
/// Room for the buffers of one batch of chains, translated to host addresses.
/// <code>
/// Vectors[i]         what readv and writev take
/// GuestAddresses[i]  the guest address of Vectors[i].Base, for the dirty log
/// </code>
/// Invariant: every vector in [0, Used) lies wholly inside a mapped region of the memory it was appended from.
/// Owner: one worker; that worker's thread only.
/// </summary>
internal sealed unsafe class VectorSpace : IDisposable
{
    /// <summary>
    /// The greatest number of vectors that one chain may have: the kernel's IOV_MAX less one for a spill buffer.
    /// </summary>
    internal const int MaxPerChain = 1023;

    /// <summary>The guest address of a spill buffer: none.</summary>
    internal const ulong NoGuestAddress = ulong.MaxValue;

    private readonly int _capacity;

    /// <summary>
    /// Makes room for <paramref name="capacity"/> vectors and one more chain of the longest kind with its spill buffer.
    /// </summary>
    internal VectorSpace(int capacity)
    {
        _capacity = capacity + MaxPerChain + 1;
        Vectors = (IoVec*)NativeMemory.AllocZeroed((nuint)_capacity, (nuint)sizeof(IoVec));
        GuestAddresses = (ulong*)NativeMemory.AllocZeroed((nuint)_capacity, sizeof(ulong));
    }

    internal IoVec* Vectors { get; private set; }

    internal ulong* GuestAddresses { get; private set; }

    /// <summary>How many vectors are taken.</summary>
    internal int Used { get; private set; }

    /// <summary>True while a further chain, however it is cut, has room.</summary>
    internal bool HasRoom => _capacity - Used > MaxPerChain;

    /// <summary>Gives back all vectors from <paramref name="used"/> on.</summary>
    internal void Truncate(int used) => Used = used;

    /// <summary>
    /// Appends a guest buffer to a chain: one vector, or one per region where it spans adjacent regions. A buffer that
    /// follows the chain's last one in guest and host memory just lengthens it. Empty buffers add nothing.
    /// </summary>
    /// <param name="memory">The table to translate with.</param>
    /// <param name="address">Guest address.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="first">Index of the chain's first vector.</param>
    /// <returns>False when the buffer is not wholly in guest memory, or the chain has too many pieces.</returns>
    internal bool Append(ref TranslationCache memory, ulong address, uint length, int first)
    {
        while (length > 0)
        {
            if (!memory.TryTranslate(address, length, out byte* host, out ulong available))
            {
                return false;
            }

            if (!AppendPiece(host, address, (nuint)available, first))
            {
                return false;
            }

            address += available;
            length -= (uint)available;
        }

        return true;
    }

    /// <summary>
    /// Appends host memory that is not the guest's behind a chain that was just appended. Its room is always there.
    /// </summary>
    internal void AppendSpill(byte* host, nuint length)
    {
        Vectors[Used].Base = host;
        Vectors[Used].Length = length;
        GuestAddresses[Used] = NoGuestAddress;
        Used++;
    }

    public void Dispose()
    {
        NativeMemory.Free(Vectors);
        NativeMemory.Free(GuestAddresses);
        Vectors = null;
        GuestAddresses = null;
    }

    private bool AppendPiece(byte* host, ulong address, nuint length, int first)
    {
        int last = Used - 1;
        if (last >= first)
        {
            ref IoVec previous = ref Vectors[last];
            if (previous.Base + previous.Length == host && GuestAddresses[last] + previous.Length == address)
            {
                previous.Length += length;
                return true;
            }
        }

        if (Used - first >= MaxPerChain)
        {
            return false;
        }

        Vectors[Used].Base = host;
        Vectors[Used].Length = length;
        GuestAddresses[Used] = address;
        Used++;
        return true;
    }
}
