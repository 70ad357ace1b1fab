using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>Negotiation, status, and the configuration space.</summary>
public sealed class DeviceRequestsSpec
{
    private const ulong FeaturesOk = 0xb;

    [Theory]
    [InlineData(QueueNumUnit.Vrings, 4)]
    [InlineData(QueueNumUnit.Pairs, 2)]
    public void GET_QUEUE_NUM_counts_in_the_unit_that_is_set(QueueNumUnit unit, ulong expected) =>
        Assert.Equal(expected, Negotiated(Profile with { QueueNum = unit }).Get(RequestCode.GetQueueNum));

    [Fact]
    public void Nothing_is_offered_that_is_not_implemented()
    {
        var session = new Conversation(Profile with
        {
            Features = (VirtioFeatures)ulong.MaxValue,
            ProtocolFeatures = (ProtocolFeatures)ulong.MaxValue,
        });

        Assert.Equal((ulong)VhostUserSession.SupportedFeatures, session.Get(RequestCode.GetFeatures));
        Assert.Equal((ulong)VhostUserSession.SupportedProtocolFeatures, session.Get(RequestCode.GetProtocolFeatures));
    }

    [Fact]
    public void What_is_masked_or_has_no_value_is_not_offered()
    {
        var session = new Conversation(Profile with
        {
            Features = Everything & ~VirtioFeatures.MrgRxbuf,
            ProtocolFeatures = ProtocolFeatures.ReplyAck,
            Mac = null,
            Mtu = null,
        });
        const VirtioFeatures gone = VirtioFeatures.MrgRxbuf | VirtioFeatures.Mac | VirtioFeatures.Mtu;

        Assert.Equal((ulong)(Everything & ~gone), session.Get(RequestCode.GetFeatures));
        Assert.Equal((ulong)ProtocolFeatures.ReplyAck, session.Get(RequestCode.GetProtocolFeatures));
    }

    [Fact]
    public void Without_the_extension_bit_there_are_no_protocol_features()
    {
        var session = new Conversation(Profile with { Features = Everything & ~VirtioFeatures.ProtocolFeatures });
        session.Send(RequestCode.GetProtocolFeatures);

        Assert.Equal(0, session.Payload()!.Value.Length);
        Assert.NotNull(session.Send(RequestCode.SetProtocolFeatures, U64(0)).Last.Refusal);
    }

    [Fact]
    public void Protocol_features_are_negotiated_before_and_without_SET_FEATURES()
    {
        var session = new Conversation();
        session.Send(RequestCode.SetProtocolFeatures, U64((ulong)ProtocolFeatures.ReplyAck));

        Assert.Equal(0ul, session.Ask(RequestCode.SetOwner));
    }

    [Theory]
    [InlineData(VirtioFeatures.OrderPlatform)]
    [InlineData((VirtioFeatures)(1UL << 63))]
    public void A_feature_that_was_not_offered_is_refused_and_the_old_ones_stay(VirtioFeatures surplus)
    {
        Conversation session = Running(0);

        Assert.Equal(1ul, session.Ask(RequestCode.SetFeatures, U64((ulong)(Everything | surplus))));

        Assert.Equal(Everything, session.State.Features);
        Assert.NotNull(session.Plan(0));
    }

    [Fact]
    public void FEATURES_OK_reads_back_only_when_the_features_were_taken()
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.SetFeatures, U64(ulong.MaxValue));
        session.Send(RequestCode.SetStatus, U64(FeaturesOk));
        Assert.Equal(3ul, session.Get(RequestCode.GetStatus));

        session.Send(RequestCode.SetFeatures, U64((ulong)Everything));
        session.Send(RequestCode.SetStatus, U64(FeaturesOk));
        Assert.Equal(FeaturesOk, session.Get(RequestCode.GetStatus));
    }

    [Fact]
    public void FEATURES_OK_goes_when_later_features_are_refused()
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.SetStatus, U64(FeaturesOk));
        session.Send(RequestCode.SetFeatures, U64(ulong.MaxValue));

        Assert.Equal(3ul, session.Get(RequestCode.GetStatus));
    }

    [Fact]
    public void NEEDS_RESET_is_shown_until_the_reset_and_no_driver_can_set_it()
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.SetStatus, U64(0x4f));
        Assert.Equal(0xful, session.Get(RequestCode.GetStatus));

        session.State = session.State.WithNeedsReset();
        Assert.Equal(0x4ful, session.Get(RequestCode.GetStatus));

        session.Send(RequestCode.SetStatus, U64(0));
        Assert.Equal(0ul, session.Get(RequestCode.GetStatus));
    }

    [Fact]
    public void NEEDS_RESET_is_shown_only_where_STATUS_was_negotiated()
    {
        const ProtocolFeatures others = VhostUserSession.SupportedProtocolFeatures & ~ProtocolFeatures.Status;
        Conversation session = Negotiated(Profile with { ProtocolFeatures = others });
        session.State = session.State.WithNeedsReset();
        session.Send(RequestCode.GetStatus);

        Assert.Equal(0, session.Payload()!.Value.Length);
    }

    [Theory]
    [InlineData(68, true)]
    [InlineData(1500, true)]
    [InlineData(65535, true)]
    [InlineData(0, false)]
    [InlineData(67, false)]
    [InlineData(65536, false)]
    [InlineData(long.MaxValue, false)]
    public void An_MTU_is_68_to_65535(long mtu, bool taken)
    {
        Conversation session = Negotiated();

        Assert.Equal(taken ? 0ul : 1ul, session.Ask(RequestCode.NetSetMtu, U64((ulong)mtu)));
        Assert.Equal(taken ? (int)mtu : 1400, session.State.Mtu);
    }

    [Fact]
    public void GET_CONFIG_reads_the_card()
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.NetSetMtu, U64(9000));

        byte[] space = Config(session, 0, 24)!;

        Assert.Equal(Mac, new MacAddress(space.AsSpan(0, 6)));
        Assert.Equal(1, BitConverter.ToUInt16(space, 6));
        Assert.Equal(2, BitConverter.ToUInt16(space, 8));
        Assert.Equal(9000, BitConverter.ToUInt16(space, 10));
        Assert.Equal(space[8..12], Config(session, 8, 4));
    }

    [Theory]
    [InlineData(0u, 256u, true)]
    [InlineData(255u, 1u, true)]
    [InlineData(256u, 0u, true)]
    [InlineData(0u, 257u, false)]
    [InlineData(256u, 1u, false)]
    [InlineData(0xffff_ffffu, 2u, false)]
    public void GET_CONFIG_reads_within_256_bytes_and_fails_with_a_piece_of_no_bytes(uint offset, uint size, bool legal)
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.GetConfig, new ConfigPayload(offset, size, 0, new byte[size]).ToBytes());

        int length = session.Payload()!.Value.Length;
        Assert.Equal(legal ? 12 + (int)size : 12, length);
        Assert.Equal(legal, session.Last.Refusal is null);
    }

    [Fact]
    public void A_piece_that_is_not_as_long_as_it_says_is_refused()
    {
        Conversation session = Negotiated();

        Assert.NotNull(session.Send(RequestCode.GetConfig, new ConfigPayload(0, 8, 0, new byte[7]).ToBytes()).Last.Refusal);
        Assert.Equal(1ul, session.Ask(RequestCode.SetConfig, new ConfigPayload(0, 6, 1, new byte[5]).ToBytes()));
    }

    [Fact]
    public void A_legacy_driver_writes_the_MAC_and_nothing_else()
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.SetFeatures, U64((ulong)(Everything & ~VirtioFeatures.Version1)));

        Assert.Equal(0ul, session.Ask(RequestCode.SetConfig, new ConfigPayload(5, 1, 0, new byte[] { 9 }).ToBytes()));
        Assert.Equal(MacAddress.Parse("02:00:00:00:00:09"), session.State.Mac);
        Assert.Equal(1ul, session.Ask(RequestCode.SetConfig, new ConfigPayload(5, 2, 0, new byte[2]).ToBytes()));
        Assert.Equal(1ul, session.Ask(RequestCode.SetConfig, new ConfigPayload(10, 2, 0, new byte[2]).ToBytes()));
        Assert.Equal(MacAddress.Parse("02:00:00:00:00:09"), session.State.Mac);
    }

    [Fact]
    public void A_migration_may_write_read_only_fields_with_what_they_hold_and_nothing_else()
    {
        Conversation session = Negotiated();
        byte[] space = Config(session, 0, 12)!;
        Assert.Equal(0ul, session.Ask(RequestCode.SetConfig, new ConfigPayload(0, 12, 1, space).ToBytes()));

        space[8]++;

        Assert.Equal(1ul, session.Ask(RequestCode.SetConfig, new ConfigPayload(0, 12, 1, space).ToBytes()));
    }

    private static byte[]? Config(Conversation session, uint offset, uint size)
    {
        session.Send(RequestCode.GetConfig, new ConfigPayload(offset, size, 0, new byte[size]).ToBytes());
        return ConfigPayload.TryRead(session.Payload()!.Value.Span, out ConfigPayload piece) ? piece.Bytes.ToArray() : null;
    }
}
