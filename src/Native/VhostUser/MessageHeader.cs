using System.Buffers.Binary;

namespace Ringmaster.Native.VhostUser;

/// <summary>
/// What stands before every message ("Message Specification"): request u32 at 0, flags u32 at 4, payload size u32 at
/// 8. Flags: bits 0-1 version (1), bit 2 reply, bit 3 need_reply.
/// </summary>
/// <param name="Request">The request's number; nothing says that it is a known one.</param>
/// <param name="Flags">Version and flags.</param>
/// <param name="Size">Bytes of payload that follow.</param>
public readonly record struct MessageHeader(uint Request, uint Flags, uint Size)
{
    /// <summary>Bytes on the wire.</summary>
    public const int SizeInBytes = 12;

    /// <summary>The only version there is.</summary>
    public const uint Version = 0x1;

    /// <summary>The flags' bits that hold the version.</summary>
    public const uint VersionMask = 0x3;

    /// <summary>Set in replies.</summary>
    public const uint ReplyFlag = 0x4;

    /// <summary>Set where the sender wants a reply to a message that otherwise has none.</summary>
    public const uint NeedReplyFlag = 0x8;

    /// <summary>The largest payload taken. The largest one in use (a memory table of 32 regions) has 1032 bytes.</summary>
    public const int MaxPayload = 4096;

    /// <summary>True when the version is the one that is spoken here.</summary>
    public bool HasKnownVersion => (Flags & VersionMask) == Version;

    /// <summary>The message answers another one.</summary>
    public bool IsReply => (Flags & ReplyFlag) != 0;

    /// <summary>The sender wants a reply.</summary>
    public bool NeedReply => (Flags & NeedReplyFlag) != 0;

    /// <summary>Reads a header; false when there are too few bytes.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out MessageHeader header)
    {
        header = default;
        if (bytes.Length < SizeInBytes)
        {
            return false;
        }

        header = new MessageHeader(
            BinaryPrimitives.ReadUInt32LittleEndian(bytes),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]));
        return true;
    }

    /// <summary>Writes the header's 12 bytes.</summary>
    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Request);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], Size);
    }
}
