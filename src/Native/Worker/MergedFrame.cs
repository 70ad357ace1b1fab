using System.Buffers.Binary;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <summary>
/// A frame that is being merged: headers of our own, and the payload of each segment where the guest has it. A GSO frame, which
/// the kernel cuts into the very segments again: all of one size but for a shorter last one, IPv4's identifications and TCP's
/// sequence numbers running on, PSH on the last.
/// </summary>
internal unsafe struct MergedFrame
{
    private const int MaxNetworkLength = ushort.MaxValue;
    private Segment _first;
    private byte* _headers;
    private int _headerSize;
    private int _payload;
    private ushort _nextId;
    private uint _nextSequence;
    private bool _ended;
    private bool _push;

    /// <summary>How many segments it has.</summary>
    internal int Count { get; private set; }

    /// <summary>Its vectors so far: headers first.</summary>
    internal IoVec* Vectors { get; private set; }

    internal int VectorCount { get; private set; }

    internal readonly byte GsoType => _first.GsoType;

    /// <summary>Begins with one segment, or with a frame that is none, to which nothing can be added.</summary>
    /// <param name="segment">Its first segment.</param>
    /// <param name="headers">The segment's headers; they become the merged frame's.</param>
    /// <param name="headerSize">Bytes of the virtio header before them.</param>
    /// <param name="vectors">Room for its vectors.</param>
    internal static MergedFrame Begin(in Segment segment, byte* headers, int headerSize, IoVec* vectors)
    {
        *vectors = new IoVec
        {
            Base = headers + Segment.EthernetAt - headerSize,
            Length = (nuint)(headerSize + segment.HeaderLength),
        };
        return new MergedFrame
        {
            _first = segment,
            _headers = headers,
            _headerSize = headerSize,
            _nextId = segment.Id,
            _nextSequence = segment.Sequence,
            _ended = segment.GsoType == VirtioNetHeader.GsoNone,
            Vectors = vectors,
            VectorCount = 1,
        };
    }

    /// <summary>Whether a segment is the one that follows.</summary>
    /// <param name="segment">The segment.</param>
    /// <param name="headers">Its headers.</param>
    /// <param name="vectors">In how many pieces its frame is.</param>
    internal readonly bool Continues(in Segment segment, byte* headers, int vectors) =>
        !_ended
        && segment.GsoType == _first.GsoType
        && segment.HeaderLength == _first.HeaderLength
        && segment.Payload <= _first.Payload
        && (segment.Atomic || segment.Id == _nextId)
        && segment.Sequence == _nextSequence
        && _first.HeaderLength - Segment.EthernetLength + _payload + segment.Payload <= MaxNetworkLength
        && VectorCount + vectors <= VectorSpace.MaxPerChain
        && Bytes(headers).SequenceEqual(Bytes(_headers));

    /// <summary>Adds the segment that follows.</summary>
    internal void Add(in Segment segment, in FrameIo frame)
    {
        nuint skipped = (nuint)(_headerSize + segment.HeaderLength);
        for (int i = 0; i < frame.Count; i++)
        {
            ref readonly IoVec vector = ref frame.Vectors[i];
            if (skipped >= vector.Length)
            {
                skipped -= vector.Length;
                continue;
            }

            Vectors[VectorCount++] = new IoVec { Base = vector.Base + skipped, Length = vector.Length - skipped };
            skipped = 0;
        }

        Count++;
        _payload += segment.Payload;
        _nextId++;
        _nextSequence += segment.IsTcp ? (uint)segment.Payload : 0;
        _push = segment.Push;
        _ended = segment.Push || segment.Payload < _first.Payload;
    }

    /// <summary>Completes the headers of two segments or more.</summary>
    internal readonly void WriteHeaders()
    {
        byte* ip = _headers + Segment.NetworkAt;
        int transportLength = _first.TransportLength + _payload;
        if (_first.IsIp4)
        {
            WriteBig(ip + 2, Segment.Ip4Length + transportLength);
            WriteBig(ip + 4, _first.Id);
            *(ushort*)(ip + 10) = (ushort)~SegmentChecksum.Fold(SegmentChecksum.Sum(ip, Segment.Ip4Length));
        }
        else
        {
            WriteBig(ip + 4, transportLength);
        }

        byte* transport = _headers + _first.TransportAt;
        if (_first.IsTcp)
        {
            *(uint*)(transport + 4) = BinaryPrimitives.ReverseEndianness(_first.Sequence);
            transport[13] |= _push ? SegmentReader.TcpPush : (byte)0;
        }
        else
        {
            WriteBig(transport + 4, transportLength);
        }

        *(ushort*)(transport + _first.ChecksumOffset) = SegmentChecksum.Fold(_first.PseudoHeader(_headers, transportLength));
        WriteVirtio();
    }

    private readonly void WriteVirtio()
    {
        Span<byte> whole = stackalloc byte[VirtioNetHeader.Size];
        var header = new VirtioNetHeader(
            VirtioNetHeader.FlagNeedsCsum,
            _first.GsoType,
            (ushort)_first.HeaderLength,
            (ushort)_first.Payload,
            (ushort)(_first.TransportAt - Segment.EthernetAt),
            (ushort)_first.ChecksumOffset,
            Buffers: 0);
        header.Write(whole);
        whole[.._headerSize].CopyTo(new Span<byte>(Vectors->Base, _headerSize));
    }

    private readonly ReadOnlySpan<byte> Bytes(byte* headers) => new(headers + Segment.EthernetAt, _first.HeaderLength);

    private static void WriteBig(byte* at, int value) => *(ushort*)at = BinaryPrimitives.ReverseEndianness((ushort)value);
}
