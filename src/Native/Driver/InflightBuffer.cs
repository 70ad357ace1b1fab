using System.Buffers.Binary;
using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Driver;

/// <summary>
/// The buffer in which a back-end tracks chains in flight, as a front-end keeps it from one back-end to the next.
/// </summary>
/// <param name="Size">Bytes.</param>
/// <param name="Offset">Where in the file it begins.</param>
/// <param name="Queues">For how many rings.</param>
/// <param name="QueueSize">For how many descriptors of each.</param>
/// <param name="File">The file; owned by this object.</param>
public sealed record InflightBuffer(ulong Size, ulong Offset, ushort Queues, ushort QueueSize, OwnedFd File) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => File.Dispose();

    /// <summary>The payload of GET_INFLIGHT_FD and SET_INFLIGHT_FD, in the 24 bytes of the C structure.</summary>
    public static byte[] Payload(ulong size, ulong offset, ushort queues, ushort queueSize)
    {
        byte[] payload = new byte[24];
        BinaryPrimitives.WriteUInt64LittleEndian(payload, size);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(8), offset);
        BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(16), queues);
        BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(18), queueSize);
        return payload;
    }
}
