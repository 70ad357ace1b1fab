using System.Buffers.Binary;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>Which frames are merged, which are not, and what becomes of merged frames that the TAP does not take.</summary>
public sealed unsafe class SegmentMergerSpec : IDisposable
{
    private const int Header = VirtioNetHeader.Size;
    private const int Ip = Header + 14;
    private static readonly GuestFrame Udp = new();
    private readonly MergeBench _bench = new();

    /// <summary>Changes that a second frame may not have against the first one.</summary>
    private static readonly Dictionary<string, Func<GuestFrame, GuestFrame>> Differences = new()
    {
        ["another source MAC and address"] = frame => frame with { Source = 9 },
        ["another destination MAC and address"] = frame => frame with { Destination = 9 },
        ["another source port"] = frame => frame with { FromPort = 9 },
        ["another destination port"] = frame => frame with { ToPort = 9 },
        ["another traffic class"] = frame => frame with { TrafficClass = 4 },
        ["congestion experienced"] = frame => frame with { TrafficClass = 3 },
        ["another hop limit"] = frame => frame with { HopLimit = 63 },
        ["no payload"] = frame => frame with { Payload = [] },
        ["padding"] = frame => frame with { Padding = 1 },
        ["another IP version"] = frame => frame with { Ip6 = !frame.Ip6 },
        ["another Ethernet type"] = Tampered(bytes => bytes[Header + 13] ^= 1),
        ["a tag"] = Tampered(bytes => (bytes[Header + 12], bytes[Header + 13]) = (0x81, 0)),
        ["other virtio flags"] = Tampered(bytes => bytes[0] ^= VirtioNetHeader.FlagDataValid),
        ["a GSO type"] = Tampered(bytes => (bytes[1], bytes[4]) = (VirtioNetHeader.GsoUdpL4, 10)),
        ["a wrong checksum"] = frame => frame with { Checksum = ChecksumState.Whole, Tamper = bytes => bytes[^1] ^= 1 },
        ["a wrong sum to complete"] = Tampered(
            frame => frame.TransportAt + frame.ChecksumOffset, (bytes, at) => bytes[Header + at] ^= 1),
        ["a checksum elsewhere"] = Tampered(bytes => bytes[6]++),
        ["another place for the checksum"] = Tampered(bytes => bytes[8]++),
    };

    private static readonly Dictionary<string, Func<GuestFrame, GuestFrame>> Ip4Differences = new()
    {
        ["a wrong header checksum"] = Tampered(bytes => bytes[Ip + 10] ^= 1),
        ["may be fragmented"] = frame => frame with { DontFragment = false },
        ["more fragments"] = Tampered(bytes => Rewrite(bytes, Ip + 6, 0x2000)),
        ["a later fragment"] = Tampered(bytes => Rewrite(bytes, Ip + 6, 0x0001)),
        ["the reserved flag"] = Tampered(bytes => Rewrite(bytes, Ip + 6, 0xc000)),
        ["options"] = Tampered(bytes => Rewrite(bytes, Ip, 0x4600)),
        ["a length that is too short"] = Tampered(bytes => Rewrite(bytes, Ip + 2, 28)),
        ["a length that is too long"] = Tampered(bytes => Rewrite(bytes, Ip + 2, 60)),
        ["another protocol"] = Tampered(bytes => Rewrite(bytes, Ip + 8, 0x4001)),
    };

    public static TheoryData<string> UdpCases => [.. Differences.Keys, .. Ip4Differences.Keys, "a UDP length of its own"];

    public void Dispose() => _bench.Dispose();

    [Theory]
    [InlineData(2)]
    [InlineData(64)]
    public void Datagrams_of_one_flow_become_one_frame(int count)
    {
        GuestFrame[] frames = [.. Enumerable.Range(0, count).Select(i => Udp with { Payload = [(byte)i, 2, 3], Id = (ushort)i })];

        int[] results = _bench.Write(frames);

        Assert.Equal([count], _bench.Sizes);
        AssertUnchanged(frames);
        Assert.All(results, result => Assert.Equal(Header + 14 + 28 + 3, result));
        Assert.Equal(count, _bench.Counters[WorkerCounter.TxMerged]);
        Assert.Equal(0, _bench.Counters[WorkerCounter.TxMergesRefused]);
    }

    [Fact]
    public void A_frame_alone_goes_as_it_is()
    {
        _bench.Write(Udp);
        Assert.Equal(Udp.Build(), Assert.Single(_bench.Written));
        Assert.Equal(0, _bench.Counters[WorkerCounter.TxMerged]);
    }

    [Theory]
    [MemberData(nameof(UdpCases))]
    public void A_frame_that_differs_ends_the_merged_one_and_goes_as_it_is(string difference)
    {
        GuestFrame other = DifferenceOf(difference)(Udp);

        _bench.Write(Udp, Udp, other, Udp, Udp);

        Assert.Equal([2, 1, 2], _bench.Written.Select((written, i) => i == 1 ? 1 : ReferenceSegmenter.Cut(written).Count()));
        Assert.Equal(other.Build(), _bench.Written[1]);
    }

    [Fact]
    public void A_shorter_frame_is_the_last_one_of_a_merged_frame()
    {
        GuestFrame shorter = Udp with { Payload = new byte[19] };
        GuestFrame[] frames = [Udp, Udp, shorter, shorter, shorter, Udp];
        _bench.Write(frames);
        Assert.Equal([3, 2, 1], _bench.Sizes);
        AssertUnchanged(frames);
    }

    [Fact]
    public void A_longer_frame_begins_a_merged_frame_of_its_own()
    {
        GuestFrame longer = Udp with { Payload = new byte[21] };
        GuestFrame[] frames = [Udp, longer, longer, Udp];
        _bench.Write(frames);
        Assert.Equal([1, 3], _bench.Sizes);
        AssertUnchanged(frames);
    }

    [Fact]
    public void A_merged_frame_is_no_longer_than_a_datagram_can_be()
    {
        GuestFrame[] frames = [.. Enumerable.Repeat(Udp with { Payload = new byte[9000] }, 9)];
        _bench.Write(frames);
        Assert.Equal([7, 2], _bench.Sizes);
        AssertUnchanged(frames);
    }

    [Fact]
    public void Identifications_must_run_on_where_a_datagram_may_be_fragmented()
    {
        GuestFrame frame = Udp with { DontFragment = false, Id = 65535 };
        GuestFrame[] frames = [frame, frame with { Id = 0 }, frame with { Id = 1 }, frame with { Id = 1 }, frame with { Id = 3 }];
        _bench.Write(frames);
        Assert.Equal([3, 1, 1], _bench.Sizes);
        AssertUnchanged(frames);
    }

    [Fact]
    public void Checksums_may_be_left_to_the_host_or_be_right_or_absent()
    {
        byte[] payload = [.. Enumerable.Range(0, 99).Select(i => (byte)(i * 7))];
        GuestFrame[] frames =
        [
            .. Enum.GetValues<ChecksumState>().Select(state => Udp with { Payload = payload, Checksum = state }),
        ];
        _bench.Write(frames);
        Assert.Equal([3], _bench.Sizes);
        AssertUnchanged(frames);
    }

    [Theory]
    [InlineData(VirtioNetHeader.LegacySize)]
    [InlineData(VirtioNetHeader.Size)]
    public void Frames_may_be_cut_anywhere(int headerSize)
    {
        using var bench = new MergeBench(headerSize);
        GuestFrame whole = Udp with { Checksum = ChecksumState.Whole };
        GuestFrame[] frames = [.. Enumerable.Range(0, 4).Select(i => whole with { Payload = [1, 2, 3, (byte)i, 5] })];
        byte[][] built = [.. frames.Select(frame => frame.Build(headerSize))];
        for (int cut = 1; cut < built[0].Length; cut++)
        {
            bench.Write(built, i => i == 3 ? [.. Enumerable.Range(1, built[3].Length - 1)] : [cut, cut + i + 1]);
            Assert.Equal([4], bench.Sizes);
            Assert.Equal(
                built.SelectMany(one => ReferenceSegmenter.Cut(one, headerSize)).Select(ReferenceSegmenter.Plain),
                ReferenceSegmenter.Cut(bench.Written[0], headerSize).Select(ReferenceSegmenter.Plain));
        }
    }

    [Fact]
    public void A_merged_frame_has_no_more_pieces_than_the_kernel_takes()
    {
        GuestFrame[] frames = [.. Enumerable.Repeat(Udp with { Payload = new byte[600] }, 4)];
        byte[][] built = [.. frames.Select(frame => frame.Build())];
        _bench.Write(built, _ => [.. Enumerable.Range(100, 500)]);
        Assert.Equal([2, 2], _bench.Sizes);
        AssertUnchanged(frames);
    }

    [Fact]
    public void What_the_guest_makes_of_its_headers_meanwhile_changes_nothing()
    {
        GuestFrame[] frames = [.. Enumerable.Range(0, 5).Select(i => Udp with { Payload = [(byte)i] })];
        _bench.Io.Meanwhile = written =>
        {
            for (int i = 1; i < written.Count; i++)
            {
                new Span<byte>(written.Vectors[i].Base - (Header + 42), Header + 42).Fill(0xff);
            }
        };

        _bench.Write(frames);

        AssertUnchanged(frames);
    }

    [Fact]
    public void From_a_TAP_that_is_full_on_frames_are_not_tried()
    {
        GuestFrame other = Udp with { ToPort = 1 };
        _bench.Write(Udp, Udp);
        _bench.Io.Answer = written => written.Length > Udp.Build().Length ? FrameIo.WouldBlock : written.Length;

        int[] results = _bench.Write(other, Udp, Udp, other);

        Assert.Equal([other.Build().Length, FrameIo.WouldBlock, FrameIo.WouldBlock, FrameIo.NotTried], results);
        Assert.Equal(2, _bench.Counters[WorkerCounter.TxMerged]);
        Assert.Equal(0, _bench.Counters[WorkerCounter.TxMergesRefused]);
    }

    [Fact]
    public void A_TAP_that_is_full_during_a_trial_gets_nothing_behind_it()
    {
        _bench.Io.Answer = written => IsGso(written) ? FrameIo.WouldBlock : written.Length;
        int[] results = _bench.Write(Udp, Udp, Udp with { ToPort = 1 });
        Assert.Equal([FrameIo.WouldBlock, FrameIo.WouldBlock, FrameIo.NotTried], results);
        Assert.Empty(_bench.Written);
    }

    [Fact]
    public void A_kind_that_the_kernel_does_not_know_goes_in_single_frames_and_is_not_tried_again()
    {
        GuestFrame other = Udp with { ToPort = 1 };
        GuestFrame[] frames = [Udp, Udp, other, other, Udp];
        _bench.Io.Answer = written => IsGso(written) ? -Errno.EINVAL : written.Length;

        Assert.All(_bench.Write(frames), result => Assert.True(result > 0));
        Assert.Equal([true, false, false, false, false, false], _bench.Written.Select(IsGso));
        Assert.Equal(frames.Select(frame => frame.Build()), _bench.Written.Skip(1));
        Assert.Equal(["UDP"], _bench.Refused);
        Assert.Equal(1, _bench.Counters[WorkerCounter.TxMergesRefused]);

        _bench.Write(frames);
        Assert.Equal(frames.Select(frame => frame.Build()), _bench.Written);
        Assert.Equal(0, _bench.Counters[WorkerCounter.TxMerged]);
    }

    [Fact]
    public void A_refusal_for_another_reason_is_tried_again()
    {
        _bench.Io.Answer = written => IsGso(written) ? -Errno.ENOMEM : written.Length;
        Assert.All(_bench.Write(Udp, Udp), result => Assert.True(result > 0));
        _bench.Io.Answer = _ => -Errno.EINVAL;
        Assert.All(_bench.Write(Udp, Udp), result => Assert.Equal(-Errno.EINVAL, result));
        Assert.Empty(_bench.Refused);
        Assert.Equal(2, _bench.Counters[WorkerCounter.TxMergesRefused]);

        _bench.Io.Answer = written => written.Length;
        _bench.Write(Udp, Udp);
        Assert.Equal([2], _bench.Sizes);
    }

    [Fact]
    public void Frames_of_a_refused_one_that_others_were_sent_after_are_dropped_so_that_order_stays()
    {
        GuestFrame other = Udp with { ToPort = 1 };
        _bench.Write(Udp, Udp);
        _bench.Io.Answer = written => IsGso(written) ? -Errno.EINVAL : written.Length;

        int[] results = _bench.Write(Udp, Udp, other);

        Assert.Equal([-Errno.EINVAL, -Errno.EINVAL, other.Build().Length], results);
        Assert.Empty(_bench.Refused);
        Assert.Equal(1, _bench.Counters[WorkerCounter.TxMergesRefused]);
    }

    private static Func<GuestFrame, GuestFrame> DifferenceOf(string name) => name == "a UDP length of its own"
        ? Tampered(frame => frame.TransportAt + 5, (bytes, at) => bytes[Header + at]--)
        : Differences.GetValueOrDefault(name) ?? Ip4Differences[name];

    private static Func<GuestFrame, GuestFrame> Tampered(Action<byte[]> change) => frame => frame with { Tamper = change };

    private static Func<GuestFrame, GuestFrame> Tampered(Func<GuestFrame, int> where, Action<byte[], int> change) =>
        frame => frame with { Tamper = bytes => change(bytes, where(frame)) };

    /// <summary>Changes two bytes of the IPv4 header and makes its checksum right again.</summary>
    private static void Rewrite(byte[] bytes, int at, ushort value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(at), value);
        bytes.AsSpan(Ip + 10, 2).Clear();
        BinaryPrimitives.WriteUInt16BigEndian(
            bytes.AsSpan(Ip + 10), Native.Driver.Frames.InternetChecksum.Of(bytes.AsSpan(Ip, 20)));
    }

    private static bool IsGso(byte[] written) => written[1] != VirtioNetHeader.GsoNone;

    /// <summary>What was written stands for the frames, in order, byte for byte.</summary>
    private void AssertUnchanged(GuestFrame[] frames) => Assert.Equal(
        frames.SelectMany(frame => ReferenceSegmenter.Cut(frame.Build())).Select(ReferenceSegmenter.Plain),
        _bench.Written.SelectMany(written => ReferenceSegmenter.Cut(written)).Select(ReferenceSegmenter.Plain));
}
