using System.Buffers.Binary;
using Ringmaster.Native.Driver.Frames;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Worker.Support;

/// <summary>
/// What a kernel makes of the frames that it is given, by the book: GSO frames are cut (virtio 1.3 section 5.1.6.2), open
/// checksums completed. Frames come out without the virtio header.
/// </summary>
internal static class ReferenceSegmenter
{
    private const int Ethernet = 14;

    /// <summary>The frames that one write stands for.</summary>
    internal static IEnumerable<byte[]> Cut(byte[] written, int headerSize = VirtioNetHeader.Size)
    {
        byte[] header = new byte[VirtioNetHeader.Size];
        written.AsSpan(0, headerSize).CopyTo(header);
        Assert.True(VirtioNetHeader.TryRead(header, out VirtioNetHeader virtio));
        byte[] frame = written[headerSize..];
        return virtio.GsoType == VirtioNetHeader.GsoNone ? [Complete(frame, virtio)] : CutGso(frame, virtio);
    }

    /// <summary>
    /// A frame without what merging may change: an identification that has no meaning, and the absence of a checksum.
    /// </summary>
    internal static byte[] Plain(byte[] frame)
    {
        byte[] copy = [.. frame];
        if (frame[12] == 8 && (frame[Ethernet + 6] & 0x40) != 0 && InternetChecksum.Of(frame.AsSpan(Ethernet, 20)) == 0)
        {
            copy.AsSpan(Ethernet + 4, 2).Clear();
            copy.AsSpan(Ethernet + 10, 2).Clear();
            BinaryPrimitives.WriteUInt16BigEndian(copy.AsSpan(Ethernet + 10), InternetChecksum.Of(copy.AsSpan(Ethernet, 20)));
        }

        bool without = frame[12] == 8 && frame[Ethernet + 9] == 17 && frame[Ethernet + 26] == 0 && frame[Ethernet + 27] == 0;
        return without ? WithChecksum(copy, Ethernet + 20, 6) : copy;
    }

    private static IEnumerable<byte[]> CutGso(byte[] frame, VirtioNetHeader virtio)
    {
        bool tcp = virtio.GsoType is VirtioNetHeader.GsoTcp4 or VirtioNetHeader.GsoTcp6;
        bool ip4 = frame[12] == 8;
        int transport = Ethernet + (ip4 ? 20 : 40);
        int headers = transport + (tcp ? frame[transport + 12] / 16 * 4 : 8);
        Assert.Equal(ip4, virtio.GsoType != VirtioNetHeader.GsoTcp6 && frame[Ethernet] == 0x45);
        Assert.Equal(VirtioNetHeader.FlagNeedsCsum, virtio.Flags);
        Assert.Equal((transport, tcp ? 16 : 6), (virtio.ChecksumStart, virtio.ChecksumOffset));
        Assert.Equal(headers, virtio.HeaderLength);
        Assert.True(frame.Length - headers > virtio.GsoSize, "a GSO frame has more than one segment");
        Assert.True(frame.Length - Ethernet <= ushort.MaxValue, "a GSO frame is one datagram");
        Assert.Equal(PartialOf(frame, transport, frame.Length - transport), ReadBig(frame, transport + virtio.ChecksumOffset));
        AssertNetwork(frame, ip4, transport, tcp);

        for (int at = headers, number = 0; at < frame.Length; at += virtio.GsoSize, number++)
        {
            int end = Math.Min(at + virtio.GsoSize, frame.Length);
            byte[] segment = [.. frame[..headers], .. frame[at..end]];
            WriteNetwork(segment, ip4, transport, number);
            if (tcp)
            {
                uint sequence = BinaryPrimitives.ReadUInt32BigEndian(frame.AsSpan(transport + 4));
                BinaryPrimitives.WriteUInt32BigEndian(segment.AsSpan(transport + 4), sequence + (uint)(at - headers));
                segment[transport + 13] &= end < frame.Length ? (byte)0xf6 : (byte)0xff;
            }
            else
            {
                BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(transport + 4), (ushort)(segment.Length - transport));
            }

            yield return WithChecksum(segment, transport, virtio.ChecksumOffset);
        }
    }

    private static void AssertNetwork(byte[] frame, bool ip4, int transport, bool tcp)
    {
        if (ip4)
        {
            Assert.Equal(frame.Length - Ethernet, ReadBig(frame, Ethernet + 2));
            Assert.Equal(0, InternetChecksum.Of(frame.AsSpan(Ethernet, 20)));
        }
        else
        {
            Assert.Equal(frame.Length - transport, ReadBig(frame, Ethernet + 4));
        }

        if (!tcp)
        {
            Assert.Equal(frame.Length - transport, ReadBig(frame, transport + 4));
        }
    }

    private static void WriteNetwork(byte[] segment, bool ip4, int transport, int number)
    {
        Span<byte> ip = segment.AsSpan(Ethernet);
        if (!ip4)
        {
            BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)(segment.Length - transport));
            return;
        }

        BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)(segment.Length - Ethernet));
        BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)(ReadBig(segment, Ethernet + 4) + number));
        ip.Slice(10, 2).Clear();
        BinaryPrimitives.WriteUInt16BigEndian(ip[10..], InternetChecksum.Of(ip[..20]));
    }

    private static byte[] Complete(byte[] frame, VirtioNetHeader virtio)
    {
        if (virtio.Flags != VirtioNetHeader.FlagNeedsCsum)
        {
            return frame;
        }

        byte[] copy = [.. frame];
        int at = virtio.ChecksumStart + virtio.ChecksumOffset;
        ushort sum = InternetChecksum.Of(copy.AsSpan(virtio.ChecksumStart));
        BinaryPrimitives.WriteUInt16BigEndian(copy.AsSpan(at), sum == 0 && virtio.ChecksumOffset == 6 ? (ushort)0xffff : sum);
        return copy;
    }

    private static byte[] WithChecksum(byte[] frame, int transport, int offset)
    {
        Span<byte> body = frame.AsSpan(transport);
        BinaryPrimitives.WriteUInt16BigEndian(body[offset..], PartialOf(frame, transport, body.Length));
        ushort sum = InternetChecksum.Of(body);
        BinaryPrimitives.WriteUInt16BigEndian(body[offset..], sum == 0 && offset == 6 ? (ushort)0xffff : sum);
        return frame;
    }

    private static ushort PartialOf(byte[] frame, int transport, int length)
    {
        bool ip4 = frame[12] == 8;
        ReadOnlySpan<byte> addresses = ip4 ? frame.AsSpan(Ethernet + 12, 8) : frame.AsSpan(Ethernet + 8, 32);
        ulong protocol = frame[Ethernet + (ip4 ? 9 : 6)];
        return InternetChecksum.Fold(InternetChecksum.Add(addresses, protocol + (ulong)length));
    }

    private static ushort ReadBig(byte[] bytes, int at) => BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(at));
}
