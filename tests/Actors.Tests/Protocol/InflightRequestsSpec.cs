using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>GET_INFLIGHT_FD and SET_INFLIGHT_FD, as far as the session decides them.</summary>
public sealed class InflightRequestsSpec
{
    private const ushort Queues = 4;

    [Theory]
    [InlineData(false, 256, 4 * 4160UL)]
    [InlineData(true, 256, 4 * 8256UL)]
    [InlineData(false, 1, 4 * 64UL)]
    [InlineData(true, 1024, 4 * 32_832UL)]
    public void GET_INFLIGHT_FD_makes_a_region_for_the_acknowledged_format(bool packed, ushort size, ulong bytes)
    {
        Conversation session = Negotiated(Profile, Everything | (packed ? VirtioFeatures.RingPacked : 0));

        session.Send(RequestCode.GetInflightFd, new InflightPayload(0, 0, Queues, size).ToBytes());

        Assert.Equal(new MakeInflight(Queues, size, packed), Assert.Single(session.Last.Effects));
        Assert.Equal(new Reply.InflightFile(new InflightPayload(bytes, 0, Queues, size)), session.Last.Reply);
        Assert.True(session.State.TracksInflight);
    }

    [Fact]
    public void GET_VRING_BASE_INFLIGHT_is_neither_taken_nor_offered_without_INFLIGHT_SHMFD()
    {
        const ProtocolFeatures Both = ProtocolFeatures.InflightShmfd | ProtocolFeatures.GetVringBaseInflight;
        Conversation session = new();
        session.Send(RequestCode.SetProtocolFeatures, U64((ulong)ProtocolFeatures.GetVringBaseInflight));
        Assert.NotNull(session.Last.Refusal);
        session.Send(RequestCode.SetProtocolFeatures, U64((ulong)Both));
        Assert.Null(session.Last.Refusal);

        Assert.Equal(Both, Profile.OfferedProtocolFeatures & Both);
        DeviceProfile masked = Profile with { ProtocolFeatures = Profile.ProtocolFeatures & ~ProtocolFeatures.InflightShmfd };
        Assert.Equal(ProtocolFeatures.None, masked.OfferedProtocolFeatures & Both);
    }

    [Theory]
    [InlineData(20)]
    [InlineData(24)]
    public void SET_INFLIGHT_FD_takes_a_region_in_both_forms_of_the_payload(int length)
    {
        Conversation session = Negotiated();
        OwnedFd file = NewFd();

        Assert.Equal(0UL, session.Ask(RequestCode.SetInflightFd, Region().ToBytes().AsMemory(0, length), file));

        Assert.Equal(new MapInflight(Region().MmapSize, 128, Queues, 256, file), Assert.Single(session.Last.Effects));
        Assert.False(file.IsClosed);
        file.Dispose();
    }

    /// <summary>DPDK has been taken over by numbers like these (CVE-2021-3839), and has lost fds (CVE-2022-0669).</summary>
    [Theory]
    [InlineData(0, 256, 1UL << 30)]
    [InlineData(5, 256, 1UL << 30)]
    [InlineData(ushort.MaxValue, 256, ulong.MaxValue)]
    [InlineData(4, 0, 1UL << 30)]
    [InlineData(4, 1025, 1UL << 30)]
    [InlineData(4, ushort.MaxValue, ulong.MaxValue)]
    [InlineData(4, 256, (4 * 4160UL) - 1)]
    [InlineData(4, 256, 0UL)]
    public void Numbers_that_do_not_fit_the_device_or_each_other_are_refused(ushort queues, ushort size, ulong bytes)
    {
        Conversation session = Negotiated();
        OwnedFd file = NewFd();
        byte[] payload = new InflightPayload(bytes, 0, queues, size).ToBytes();

        Assert.Equal(1UL, session.Ask(RequestCode.SetInflightFd, payload, file));

        Assert.Empty(session.Last.Effects);
        Assert.True(file.IsClosed);
        Assert.False(session.State.TracksInflight);
    }

    [Fact]
    public void A_region_for_split_rings_is_too_small_for_packed_ones()
    {
        Conversation session = Negotiated(Profile, Everything | VirtioFeatures.RingPacked);

        Assert.Equal(1UL, session.Ask(RequestCode.SetInflightFd, Region().ToBytes(), NewFd()));
    }

    [Theory]
    [InlineData(0, 256)]
    [InlineData(5, 256)]
    [InlineData(4, 0)]
    [InlineData(4, 1025)]
    public void Nothing_is_made_for_numbers_beyond_the_device(ushort queues, ushort size)
    {
        Conversation session = Negotiated();

        session.Send(RequestCode.GetInflightFd, new InflightPayload(0, 0, queues, size).ToBytes());

        Assert.NotNull(session.Last.Refusal);
        Assert.Empty(session.Last.Effects);
        Assert.Equal(0, session.Payload()!.Value.Length);
    }

    [Theory]
    [InlineData(RequestCode.GetInflightFd)]
    [InlineData(RequestCode.SetInflightFd)]
    public void Neither_is_legal_without_the_protocol_feature(RequestCode code)
    {
        Conversation session = Negotiated();
        session.Send(RequestCode.SetProtocolFeatures, U64((ulong)ProtocolFeatures.ReplyAck));
        OwnedFd[] fds = code == RequestCode.SetInflightFd ? [NewFd()] : [];

        session.Send(code, Region().ToBytes(), fds);

        Assert.NotNull(session.Last.Refusal);
        Assert.All(fds, fd => Assert.True(fd.IsClosed));
    }

    [Theory]
    [InlineData(21)]
    [InlineData(23)]
    public void A_payload_of_neither_form_is_refused(int length)
    {
        Conversation session = Negotiated();

        Assert.Equal(1UL, session.Ask(RequestCode.SetInflightFd, Region().ToBytes().AsMemory(0, length), NewFd()));
    }

    [Theory]
    [InlineData(RequestCode.ResetDevice)]
    [InlineData(RequestCode.SetStatus)]
    public void A_reset_lets_go_of_the_region_once(RequestCode reset)
    {
        Conversation session = Running(0);
        session.Send(RequestCode.GetInflightFd, new InflightPayload(0, 0, Queues, 256).ToBytes());
        ReadOnlyMemory<byte> zero = reset == RequestCode.SetStatus ? U64(0) : default;

        session.Send(reset, zero);
        Assert.IsType<DropInflight>(Assert.Single(session.Last.Effects));

        session.Send(reset, zero);
        Assert.Empty(session.Last.Effects);
    }

    [Fact]
    public void Rings_are_known_in_the_region_by_their_numbers()
    {
        Conversation session = Running(0, 3);

        Assert.Equal((0, 3), (session.Plan(0)!.Index, session.Plan(3)!.Index));
    }

    private static InflightPayload Region() => new(InflightRegion.SizeOf(Queues, 256, packed: false), 128, Queues, 256);
}
