using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>The session of a device behind an IOMMU: what translations it takes, and when they go.</summary>
public sealed class IotlbRequestsSpec
{
    private const ulong Iova = 0x10_0000;
    private const ulong Page = 0x1000;
    private const VirtioFeatures Behind = Conversation.Everything | VirtioFeatures.AccessPlatform;

    [Fact]
    public void A_translation_is_kept_until_it_is_withdrawn()
    {
        Conversation session = Negotiated();
        Assert.Equal(0UL, Send(session, IotlbType.Update, Iova, Page, Conversation.UserAddress));
        Assert.Equal(1, session.State.Iotlb.Count);
        Assert.Equal(0UL, Send(session, IotlbType.Invalidate, Iova + Page, Page));
        Assert.Equal(1, session.State.Iotlb.Count);
        Assert.Equal(0UL, Send(session, IotlbType.Invalidate, 0, 0));
        Assert.Equal(0, session.State.Iotlb.Count);
    }

    [Theory]
    [InlineData(IotlbType.Update, Iova, 0UL, Conversation.UserAddress)]
    [InlineData(IotlbType.Update, Iova, Page, Conversation.UserAddress - 1)]
    [InlineData(IotlbType.Update, Iova, Page, Conversation.UserAddress + Conversation.RegionSize)]
    [InlineData(IotlbType.Update, Iova, Conversation.RegionSize + 1, Conversation.UserAddress)]
    [InlineData(IotlbType.Update, ulong.MaxValue, 2UL, Conversation.UserAddress)]
    [InlineData(IotlbType.Invalidate, ulong.MaxValue, 2UL, 0UL)]
    [InlineData(IotlbType.Invalidate, Iova, 0UL, 0UL)]
    [InlineData(IotlbType.Miss, Iova, Page, Conversation.UserAddress)]
    [InlineData(IotlbType.AccessFail, Iova, Page, Conversation.UserAddress)]
    public void What_makes_no_sense_is_refused_and_changes_nothing(IotlbType type, ulong iova, ulong size, ulong user)
    {
        Conversation session = Negotiated();
        Assert.Equal(1UL, Send(session, type, iova, size, user));
        Assert.Same(Iotlb.Empty, session.State.Iotlb);
    }

    [Fact]
    public void Translations_go_with_the_memory_that_they_may_lead_to_and_with_a_reset()
    {
        Action<Conversation>[] ends =
        [
            session => session.SetMemory(),
            session => session.Send(RequestCode.ResetDevice),
            session => session.Send(RequestCode.SetFeatures, Conversation.U64((ulong)Conversation.Everything)),
        ];
        Assert.All(ends, end =>
        {
            Conversation session = Negotiated();
            Send(session, IotlbType.Update, Iova, Page, Conversation.UserAddress);
            end(session);
            Assert.Same(Iotlb.Empty, session.State.Iotlb);
        });
    }

    [Fact]
    public void It_is_refused_without_ACCESS_PLATFORM_and_that_is_not_offered_where_nothing_can_be_asked_for()
    {
        Assert.Equal(1UL, Send(Conversation.WithMemory(), IotlbType.Update, Iova, Page, Conversation.UserAddress));
        Assert.All(new[] { ProtocolFeatures.BackendReq, ProtocolFeatures.ReplyAck }, masked =>
        {
            DeviceProfile profile = Conversation.Profile with
            {
                ProtocolFeatures = VhostUserSession.SupportedProtocolFeatures & ~masked,
            };
            Assert.False(profile.OfferedFeatures.HasFlag(VirtioFeatures.AccessPlatform));
        });
    }

    private static Conversation Negotiated()
    {
        Conversation session = Conversation.Negotiated(Conversation.Profile, Behind);
        session.SetMemory();
        return session;
    }

    private static ulong? Send(Conversation session, IotlbType type, ulong iova, ulong size, ulong user = 0) =>
        session.Ask(RequestCode.IotlbMsg, new IotlbPayload(iova, size, user, IotlbAccess.ReadWrite, type).ToBytes());
}
