using Ringmaster.Actors.Device;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Tests.Device;

public sealed class NetworkFeaturesSpec
{
    private const TapOffloads Everything = TapOffloads.Csum | TapOffloads.Tso4 | TapOffloads.Tso6 | TapOffloads.TsoEcn
        | TapOffloads.Ufo | TapOffloads.Uso4 | TapOffloads.Uso6;

    private const VirtioFeatures All = VirtioFeatures.Csum | VirtioFeatures.GuestCsum
        | VirtioFeatures.GuestTso4 | VirtioFeatures.GuestTso6 | VirtioFeatures.GuestEcn | VirtioFeatures.GuestUfo
        | VirtioFeatures.GuestUso4 | VirtioFeatures.GuestUso6
        | VirtioFeatures.HostTso4 | VirtioFeatures.HostTso6 | VirtioFeatures.HostEcn
        | VirtioFeatures.HostUfo | VirtioFeatures.HostUso
        | VirtioFeatures.Version1 | VirtioFeatures.Mq;

    [Fact]
    public void A_TAP_that_can_do_everything_takes_nothing_away() => Assert.Equal(All, NetworkFeatures.Offered(All, Everything));

    [Fact]
    public void A_TAP_that_can_do_nothing_leaves_what_is_no_offload() =>
        Assert.Equal(VirtioFeatures.Version1 | VirtioFeatures.Mq, NetworkFeatures.Offered(All, TapOffloads.None));

    [Theory]
    [InlineData(TapOffloads.Uso4)]
    [InlineData(TapOffloads.Uso6)]
    public void USO_is_offered_only_by_a_TAP_that_has_both_kinds(TapOffloads lacking)
    {
        const VirtioFeatures Uso = VirtioFeatures.GuestUso4 | VirtioFeatures.GuestUso6 | VirtioFeatures.HostUso;
        Assert.Equal(All & ~Uso, NetworkFeatures.Offered(All, Everything & ~lacking));
    }

    [Theory]
    [InlineData(VirtioFeatures.None, TapOffloads.None)]
    [InlineData(VirtioFeatures.GuestTso4 | VirtioFeatures.GuestUfo, TapOffloads.None)]
    [InlineData(VirtioFeatures.Csum | VirtioFeatures.HostTso4, TapOffloads.None)]
    [InlineData(VirtioFeatures.GuestCsum, TapOffloads.Csum)]
    [InlineData(VirtioFeatures.GuestCsum | VirtioFeatures.GuestTso4, TapOffloads.Csum | TapOffloads.Tso4)]
    [InlineData(VirtioFeatures.GuestCsum | VirtioFeatures.GuestEcn, TapOffloads.Csum)]
    [InlineData(VirtioFeatures.GuestCsum | VirtioFeatures.GuestUso4, TapOffloads.Csum)]
    [InlineData(All, Everything)]
    public void The_TAP_leaves_undone_what_the_guest_acknowledged_to_take(VirtioFeatures acknowledged, TapOffloads expected) =>
        Assert.Equal(expected, NetworkFeatures.Offloads(acknowledged));

    [Theory]
    [InlineData(VirtioFeatures.None, 10)]
    [InlineData(VirtioFeatures.Csum, 10)]
    [InlineData(VirtioFeatures.MrgRxbuf, 12)]
    [InlineData(VirtioFeatures.Version1, 12)]
    [InlineData(VirtioFeatures.Version1 | VirtioFeatures.MrgRxbuf, 12)]
    public void The_header_has_the_number_of_buffers_with_VERSION_1_or_MRG_RXBUF(VirtioFeatures acknowledged, int bytes) =>
        Assert.Equal(bytes, NetworkFeatures.HeaderSize(acknowledged));
}
