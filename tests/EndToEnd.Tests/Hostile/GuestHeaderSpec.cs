using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>The virtio-net header: cut in odd ways, too short, or full of nonsense.</summary>
[Collection(HostileCollection.Name)]
public sealed class GuestHeaderSpec(HostileBackend backend)
{
    /// <summary>Both directions, both formats, with and without mergeable receive buffers.</summary>
    public static TheoryData<RingSide, RingFormat, bool> AllMergeableOrNot
    {
        get
        {
            TheoryData<RingSide, RingFormat, bool> data = [];
            foreach (RingSide side in Enum.GetValues<RingSide>())
            {
                foreach (RingFormat format in Enum.GetValues<RingFormat>())
                {
                    data.Add(side, format, true);
                    data.Add(side, format, false);
                }
            }

            return data;
        }
    }

    /// <summary>Headers that no frame of 100 bytes can have.</summary>
    public static TheoryData<string> Nonsense => [.. NonsenseHeaders.Keys];

    private static Dictionary<string, VirtioNetHeader> NonsenseHeaders => new()
    {
        ["a checksum far behind the frame"] = new(VirtioNetHeader.FlagNeedsCsum, 0, 0, 0, 60_000, 16, 0),
        ["a checksum that begins at the last byte"] = new(VirtioNetHeader.FlagNeedsCsum, 0, 0, 0, GoodGuest.FrameSize - 1, 0, 0),
        ["a checksum whose place is outside"] = new(VirtioNetHeader.FlagNeedsCsum, 0, 0, 0, 34, ushort.MaxValue, 0),
        ["the greatest of all numbers"] = new(
            VirtioNetHeader.FlagNeedsCsum, 0, ushort.MaxValue, 0, ushort.MaxValue, ushort.MaxValue, 0),
        ["headers longer than the frame"] = new(0, VirtioNetHeader.GsoTcp4, ushort.MaxValue, 500, 0, 0, 0),
        ["segments of no bytes"] = new(VirtioNetHeader.FlagNeedsCsum, VirtioNetHeader.GsoTcp4, 54, 0, 34, 16, 0),
        ["an unknown kind of segments"] = new(0, 0x7f, 54, 20, 34, 16, 0),
        ["ECN and nothing else"] = new(0, VirtioNetHeader.GsoEcn, 54, 20, 34, 16, 0),
    };

    [SkippableTheory]
    [MemberData(nameof(AllMergeableOrNot))]
    public Task A_header_in_twelve_pieces_carries_its_frame(RingSide side, RingFormat format, bool mergeable) =>
        CarriesItsFrameAsync(side, format, mergeable, guest =>
        [
            .. Enumerable.Range(0, HostileGuest.HeaderSize).Select(_ => Buffer(guest, guest.Take(1), 1)),
            Buffer(guest, guest.Take(300), 300),
        ]);

    [SkippableTheory]
    [MemberData(nameof(AllMergeableOrNot))]
    public Task A_header_cut_within_its_last_field_carries_its_frame(RingSide side, RingFormat format, bool mergeable) =>
        CarriesItsFrameAsync(
            side, format, mergeable, guest => [Buffer(guest, guest.Take(11), 11), Buffer(guest, guest.Take(300), 300)]);

    [SkippableTheory]
    [MemberData(nameof(AllMergeableOrNot))]
    public Task A_header_cut_at_the_end_of_a_region_carries_its_frame(RingSide side, RingFormat format, bool mergeable) =>
        CarriesItsFrameAsync(side, format, mergeable, guest => [Buffer(guest, HostileGuest.Border - 11, 300)]);

    [SkippableTheory]
    [MemberData(nameof(AllMergeableOrNot))]
    public Task A_header_cut_by_the_end_of_memory_costs_its_chain_alone(RingSide side, RingFormat format, bool mergeable) =>
        CostsThatChainAloneAsync(
            side,
            format,
            mergeable,
            guest =>
            [
                new RawDescriptor(HostileGuest.End - 5, 12, (ushort)(guest.Legal | DriverRing.FlagNext), 1), guest.Buffer(),
            ]);

    [SkippableTheory]
    [MemberData(nameof(AllMergeableOrNot))]
    public Task A_chain_of_one_byte_costs_its_chain_alone(RingSide side, RingFormat format, bool mergeable) =>
        CostsThatChainAloneAsync(side, format, mergeable, guest => [guest.Buffer(1)]);

    [SkippableTheory]
    [MemberData(nameof(AllMergeableOrNot))]
    public Task A_chain_shorter_than_the_header_costs_its_chain_alone(RingSide side, RingFormat format, bool mergeable) =>
        CostsThatChainAloneAsync(
            side,
            format,
            mergeable,
            guest => [guest.Buffer(6, DriverRing.FlagNext, 1), guest.Buffer(5)]);

    [SkippableTheory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public Task A_sent_header_without_a_frame_costs_its_chain_alone(RingFormat format) =>
        CostsThatChainAloneAsync(RingSide.Tx, format, mergeable: true, guest => [guest.Buffer(HostileGuest.HeaderSize)]);

    [SkippableTheory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public Task A_sent_frame_longer_than_any_frame_costs_its_chain_alone(RingFormat format) => CostsThatChainAloneAsync(
        RingSide.Tx,
        format,
        mergeable: true,
        guest => [guest.Buffer(65_536, DriverRing.FlagNext, 1), guest.Buffer(65_536)]);

    [SkippableTheory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public Task A_receive_buffer_that_holds_the_header_alone_is_the_first_of_two(RingFormat format) => backend.SurvivesAsync(() =>
    {
        using HostileGuest guest = HostileGuest.Connect(backend, RingSide.Rx, format);
        ulong first = guest.Take(HostileGuest.HeaderSize);
        ulong second = guest.Take(HostileGuest.BufferSize);
        Assert.True(guest.Ring.TryAdd([Buffer(guest, first, HostileGuest.HeaderSize)], -1));
        Assert.True(guest.Ring.TryAdd([Buffer(guest, second, HostileGuest.BufferSize)], -2));
        guest.Publish();
        int number = HostileBackend.NextFrame();
        backend.Host.Send(TestFrame.Build(number, GoodGuest.FrameSize));

        Assert.Equal(new UsedChain(-1, HostileGuest.HeaderSize), guest.Collect());
        Assert.Equal(new UsedChain(-2, GoodGuest.FrameSize), guest.Collect());
        Assert.Equal(2, BuffersOf(guest.Ram.Bytes(first, HostileGuest.HeaderSize)));
        Assert.Equal(TestFrame.Build(number, GoodGuest.FrameSize), guest.Ram.Bytes(second, GoodGuest.FrameSize).ToArray());
    });

    [SkippableTheory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public Task Without_mergeable_buffers_every_frame_says_that_it_has_one(RingFormat format) => backend.SurvivesAsync(() =>
    {
        using HostileGuest guest = HostileGuest.Connect(backend, RingSide.Rx, format, Options(mergeable: false));
        for (int i = 0; i < 10; i++)
        {
            // What stands in the buffer before must not be taken for the number.
            RingBuffer buffer = Buffer(guest, guest.Take(400), 400);
            guest.Ram.Bytes(buffer.Address, 400).Fill(0xee);
            guest.OfferOdd(buffer);
        }

        guest.ExpectReturned();
    });

    /// <summary>
    /// Without MRG_RXBUF a frame cannot go on in the next buffer: it is lost, and the buffer stays for the next frame.
    /// </summary>
    [SkippableTheory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public Task A_frame_longer_than_its_only_buffer_is_dropped_and_the_next_one_arrives(RingFormat format) =>
        backend.SurvivesAsync(() =>
        {
            using HostileGuest guest = HostileGuest.Connect(backend, RingSide.Rx, format, Options(mergeable: false));
            backend.Host.Send(TestFrame.Build(HostileBackend.NextFrame(), 1000));
            guest.OfferOdd(Buffer(guest, guest.Take(400), 400));
            guest.ExpectReturned();
        });

    /// <summary>
    /// What the kernel refuses is dropped, what it takes is its affair; the chain comes back in any case, and the frame behind
    /// it arrives.
    /// </summary>
    [SkippableTheory]
    [MemberData(nameof(Nonsense))]
    public Task A_sent_header_full_of_nonsense_costs_its_frame_alone(string nonsense) => backend.SurvivesAsync(() =>
    {
        using HostileGuest guest = HostileGuest.Connect(backend, RingSide.Tx, RingFormat.Split);
        RawDescriptor chain = guest.Buffer(HostileGuest.HeaderSize + GoodGuest.FrameSize);
        NonsenseHeaders[nonsense].Write(guest.Ram.Bytes(chain.Address, HostileGuest.HeaderSize));
        TestFrame.Build(HostileBackend.NextFrame(), GoodGuest.FrameSize)
            .CopyTo(guest.Ram.Bytes(chain.Address + HostileGuest.HeaderSize, GoodGuest.FrameSize));
        guest.Offer(chain);
        guest.OfferGood();
        guest.ExpectReturned();
    });

    private static VirtioNetOptions Options(bool mergeable) => new()
    {
        QueueSize = 64,
        TransmitBufferSize = HostileGuest.BufferSize,
        Features = VirtioNetOptions.ModernFeatures & ~(mergeable ? VirtioFeatures.None : VirtioFeatures.MrgRxbuf),
    };

    private Task CostsThatChainAloneAsync(
        RingSide side, RingFormat format, bool mergeable, Func<HostileGuest, RawDescriptor[]> chain) =>
        backend.SurvivesAsync(() =>
        {
            using HostileGuest guest = HostileGuest.Connect(backend, side, format, Options(mergeable));
            guest.Offer(chain(guest));
            guest.OfferGood();
            guest.ExpectReturned();
        });

    private Task CarriesItsFrameAsync(
        RingSide side, RingFormat format, bool mergeable, Func<HostileGuest, RingBuffer[]> buffers) =>
        backend.SurvivesAsync(() =>
        {
            using HostileGuest guest = HostileGuest.Connect(backend, side, format, Options(mergeable));
            guest.OfferOdd(buffers(guest));
            guest.OfferGood();
            guest.ExpectReturned();
        });

    private static int BuffersOf(ReadOnlySpan<byte> bytes)
    {
        Assert.True(VirtioNetHeader.TryRead(bytes, out VirtioNetHeader header));
        return header.Buffers;
    }

    private static RingBuffer Buffer(HostileGuest guest, ulong address, int length) =>
        new(address, (uint)length, guest.Side == RingSide.Rx);
}
