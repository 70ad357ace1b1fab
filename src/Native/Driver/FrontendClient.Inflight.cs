using System.Buffers.Binary;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Driver;

/// <content>The requests about chains in flight.</content>
public sealed partial class FrontendClient
{
    /// <summary>GET_INFLIGHT_FD.</summary>
    /// <param name="queues">For how many rings.</param>
    /// <param name="queueSize">For how many descriptors of each.</param>
    /// <exception cref="FrontendException">The back-end refused, or sent no file.</exception>
    public InflightBuffer GetInflightFd(int queues, int queueSize)
    {
        using FrontendReply reply = Ask(
            RequestCode.GetInflightFd, InflightBuffer.Payload(0, 0, (ushort)queues, (ushort)queueSize));
        if (reply.Payload.Length < 20 || reply.Fds.Count != 1)
        {
            throw new FrontendException($"GET_INFLIGHT_FD gave {reply.Payload.Length} bytes and {reply.Fds.Count} files.");
        }

        return new InflightBuffer(
            BinaryPrimitives.ReadUInt64LittleEndian(reply.Payload),
            BinaryPrimitives.ReadUInt64LittleEndian(reply.Payload.AsSpan(8)),
            BinaryPrimitives.ReadUInt16LittleEndian(reply.Payload.AsSpan(16)),
            BinaryPrimitives.ReadUInt16LittleEndian(reply.Payload.AsSpan(18)),
            reply.Fds[0].Duplicate());
    }

    /// <summary>SET_INFLIGHT_FD.</summary>
    public void SetInflightFd(InflightBuffer buffer) => Tell(
        RequestCode.SetInflightFd,
        InflightBuffer.Payload(buffer.Size, buffer.Offset, buffer.Queues, buffer.QueueSize),
        buffer.File);
}
