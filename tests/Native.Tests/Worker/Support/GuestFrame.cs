using System.Buffers.Binary;
using Ringmaster.Native.Driver.Frames;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Worker.Support;

/// <summary>How a frame's checksum is left.</summary>
internal enum ChecksumState
{
    /// <summary>The host is to complete it: the pseudo header's sum.</summary>
    Partial,

    /// <summary>Right.</summary>
    Whole,

    /// <summary>None at all: 0.</summary>
    None,
}

/// <summary>A UDP datagram or a TCP segment as a guest sends it, every field to be chosen.</summary>
internal sealed record GuestFrame
{
    internal const int Ethernet = 14;

    internal bool Ip6 { get; init; }

    internal bool Tcp { get; init; }

    internal byte[] Payload { get; init; } = new byte[20];

    internal byte Source { get; init; } = 1;

    internal byte Destination { get; init; } = 2;

    internal byte TrafficClass { get; init; }

    internal byte HopLimit { get; init; } = 64;

    internal ushort Id { get; init; }

    internal bool DontFragment { get; init; } = true;

    internal ushort FromPort { get; init; } = 1000;

    internal ushort ToPort { get; init; } = 2000;

    internal uint Sequence { get; init; }

    internal uint Acknowledgement { get; init; } = 77;

    internal byte Flags { get; init; } = 0x10;

    internal ushort Window { get; init; } = 500;

    internal byte[] Options { get; init; } = [];

    internal ChecksumState Checksum { get; init; }

    /// <summary>Bytes behind the datagram.</summary>
    internal int Padding { get; init; }

    /// <summary>Changes the finished bytes, the virtio header's included.</summary>
    internal Action<byte[]>? Tamper { get; init; }

    internal int NetworkLength => Ip6 ? 40 : 20;

    internal int TransportAt => Ethernet + NetworkLength;

    internal int TransportLength => Tcp ? 20 + Options.Length : 8;

    internal int ChecksumOffset => Tcp ? 16 : 6;

    /// <summary>The virtio header and the frame.</summary>
    /// <param name="headerSize">Bytes of the virtio header.</param>
    internal byte[] Build(int headerSize = VirtioNetHeader.Size)
    {
        int length = TransportLength + Payload.Length;
        byte[] frame = new byte[TransportAt + length + Padding];
        new byte[] { 2, 0, 0, 0, 0, Destination, 2, 0, 0, 0, 0, Source }.CopyTo(frame, 0);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), Ip6 ? (ushort)0x86dd : (ushort)0x0800);
        WriteNetwork(frame.AsSpan(Ethernet), length);
        WriteTransport(frame.AsSpan(TransportAt, length));
        byte[] whole = new byte[headerSize + frame.Length];
        byte[] header = new byte[VirtioNetHeader.Size];
        if (Checksum == ChecksumState.Partial)
        {
            VirtioNetHeader virtio = new(
                VirtioNetHeader.FlagNeedsCsum, 0, 0, 0, (ushort)TransportAt, (ushort)ChecksumOffset, Buffers: 0);
            virtio.Write(header);
        }

        header.AsSpan(0, headerSize).CopyTo(whole);
        frame.CopyTo(whole, headerSize);
        Tamper?.Invoke(whole);
        return whole;
    }

    private void WriteNetwork(Span<byte> ip, int length)
    {
        if (Ip6)
        {
            BinaryPrimitives.WriteUInt32BigEndian(ip, 0x6000_0000u | ((uint)TrafficClass << 20) | 0x12345);
            BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)length);
            (ip[6], ip[7]) = (Protocol, HopLimit);
            (ip[8], ip[23], ip[24], ip[39]) = (0xfd, Source, 0xfd, Destination);
            return;
        }

        (ip[0], ip[1]) = (0x45, TrafficClass);
        BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)(20 + length));
        BinaryPrimitives.WriteUInt16BigEndian(ip[4..], Id);
        ip[6] = DontFragment ? (byte)0x40 : (byte)0;
        (ip[8], ip[9]) = (HopLimit, Protocol);
        new byte[] { 192, 0, 2, Source, 192, 0, 2, Destination }.CopyTo(ip[12..]);
        BinaryPrimitives.WriteUInt16BigEndian(ip[10..], InternetChecksum.Of(ip[..20]));
    }

    private void WriteTransport(Span<byte> transport)
    {
        BinaryPrimitives.WriteUInt16BigEndian(transport, FromPort);
        BinaryPrimitives.WriteUInt16BigEndian(transport[2..], ToPort);
        if (Tcp)
        {
            BinaryPrimitives.WriteUInt32BigEndian(transport[4..], Sequence);
            BinaryPrimitives.WriteUInt32BigEndian(transport[8..], Acknowledgement);
            (transport[12], transport[13]) = ((byte)(TransportLength / 4 << 4), Flags);
            BinaryPrimitives.WriteUInt16BigEndian(transport[14..], Window);
            Options.CopyTo(transport[20..]);
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(transport[4..], (ushort)transport.Length);
        }

        Payload.CopyTo(transport[TransportLength..]);
        ulong pseudo = PseudoHeader(transport.Length);
        ushort sum = Checksum switch
        {
            ChecksumState.Partial => InternetChecksum.Fold(pseudo),
            ChecksumState.Whole => InternetChecksum.Of(transport, pseudo),
            _ => 0,
        };
        bool looksLikeNone = Checksum == ChecksumState.Whole && sum == 0 && !Tcp;
        BinaryPrimitives.WriteUInt16BigEndian(transport[ChecksumOffset..], looksLikeNone ? (ushort)0xffff : sum);
    }

    private byte Protocol => Tcp ? (byte)6 : (byte)17;

    private ulong PseudoHeader(int length)
    {
        byte[] addresses = Ip6
            ? [0xfd, .. new byte[14], Source, 0xfd, .. new byte[14], Destination]
            : [192, 0, 2, Source, 192, 0, 2, Destination];
        return InternetChecksum.Add(addresses, (ulong)Protocol + (ulong)length);
    }
}
