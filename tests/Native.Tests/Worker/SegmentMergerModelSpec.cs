using CsCheck;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Tests.Worker.Support;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker;

/// <summary>
/// Random batches of frames that are much alike, in random pieces, some of them damaged, to a TAP that refuses some: what is
/// written, cut by the book, is what was sent, in order, byte for byte.
/// </summary>
public sealed class SegmentMergerModelSpec
{
    private const int Iterations = 1000;

    /// <summary>Mostly the usual, now and then another value: else no two frames in a row would ever be alike.</summary>
    private static Gen<T> Mostly<T>(T usual, Gen<T> other) =>
        Gen.Int[0, 11].SelectMany(dice => dice == 0 ? other : Gen.Const(usual));

    private static Gen<T> AnyOf<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    private static readonly Gen<byte[]> Payloads = Mostly(24, Gen.OneOf(Gen.Int[0, 30], Gen.Int[0, 1500]))
        .SelectMany(length => Gen.Byte.Array[length]);

    private static readonly Gen<GuestFrame> Changes = Gen.Select(
        Payloads,
        Mostly(true, Gen.Bool),
        Mostly((byte)1, Gen.Byte[1, 2]),
        Mostly((byte)0x10, AnyOf<byte>(0x10, 0x18, 0x11, 0x12, 0x14, 0x30, 0x50, 0x90, 0x00)),
        Gen.Enum<ChecksumState>(),
        Mostly(0, Gen.Int[0, 40]),
        Mostly(0, Gen.Int[-2, 2]),
        Mostly(-1, Gen.Int[0, 90]),
        (payload, whole, source, flags, checksum, padding, jump, damaged) => new GuestFrame
        {
            Payload = payload,
            DontFragment = whole,
            Source = source,
            Flags = flags,
            Checksum = checksum,
            Padding = padding,
            Id = (ushort)jump,
            Tamper = damaged < 0 ? null : bytes => bytes[damaged % bytes.Length] ^= 0x21,
        });

    private static readonly Gen<MergeCase> Cases = Gen.Select(
        Gen.Bool,
        Gen.Bool,
        AnyOf(VirtioNetHeader.Size, VirtioNetHeader.LegacySize),
        AnyOf(0, 4, 12),
        Changes.Array[1, RingPump.MaxBatch],
        Gen.Int[1, 120].Array[0, 4].Array[1, 8],
        Mostly(0, AnyOf(Errno.EINVAL, Errno.ENOMEM)),
        (tcp, ip6, headerSize, options, changes, cuts, refusal) =>
            new MergeCase(tcp, ip6, headerSize, options, changes, cuts, refusal));

    [Fact]
    public void What_is_written_stands_for_what_was_sent()
    {
        long merged = 0;
        RepeatableCheck.Run(Cases, Iterations, sent => merged += Run(sent));
        Assert.True(merged > 10 * Iterations, $"only {merged} frames were merged");
    }

    private static long Run(MergeCase sent)
    {
        byte[][] frames = [.. sent.Frames.Select(frame => frame.Build(sent.HeaderSize))];
        using var bench = new MergeBench(sent.HeaderSize);
        List<byte[]> taken = [];
        bench.Io.Answer = written =>
        {
            if (sent.Refusal != 0 && IsMerged(written))
            {
                return -sent.Refusal;
            }

            taken.Add(written);
            return written.Length;
        };

        int[] results = bench.Write(frames, i => sent.Cuts[i % sent.Cuts.Length]);

        Assert.Equal(frames.Select(frame => frame.Length), results);
        int next = 0;
        foreach (byte[] written in taken)
        {
            if (IsMerged(written))
            {
                byte[][] segments = [.. ReferenceSegmenter.Cut(written, sent.HeaderSize)];
                Assert.Equal(
                    frames[next..(next + segments.Length)].SelectMany(frame => ReferenceSegmenter.Cut(frame, sent.HeaderSize))
                        .Select(ReferenceSegmenter.Plain),
                    segments.Select(ReferenceSegmenter.Plain));
                next += segments.Length;
            }
            else
            {
                Assert.Equal(frames[next++], written);
            }
        }

        Assert.Equal(frames.Length, next);
        return bench.Counters[WorkerCounter.TxMerged];
    }

    private static bool IsMerged(byte[] written) =>
        written[1] is VirtioNetHeader.GsoUdpL4 or VirtioNetHeader.GsoTcp4 or VirtioNetHeader.GsoTcp6;

    /// <param name="Tcp">TCP, else UDP.</param>
    /// <param name="Ip6">IPv6, else IPv4.</param>
    /// <param name="HeaderSize">Bytes of the virtio header.</param>
    /// <param name="Options">Bytes of TCP options.</param>
    /// <param name="Changes">What each frame has of its own; identification and sequence run on, but for jumps in Id.</param>
    /// <param name="Cuts">Where frames are cut, in turn.</param>
    /// <param name="Refusal">What the TAP says to merged frames; 0 = takes them.</param>
    private sealed record MergeCase(
        bool Tcp, bool Ip6, int HeaderSize, int Options, GuestFrame[] Changes, int[][] Cuts, int Refusal)
    {
        internal IEnumerable<GuestFrame> Frames
        {
            get
            {
                uint sequence = uint.MaxValue - 500;
                ushort id = 65_500;
                foreach (GuestFrame change in Changes)
                {
                    sequence += change.Id;
                    id += (ushort)(change.Id + 1);
                    yield return change with { Tcp = Tcp, Ip6 = Ip6, Options = new byte[Options], Id = id, Sequence = sequence };
                    sequence += (uint)change.Payload.Length;
                }
            }
        }
    }
}
