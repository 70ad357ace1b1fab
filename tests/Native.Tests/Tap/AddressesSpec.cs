using CsCheck;
using Ringmaster.Native.Tap;

namespace Ringmaster.Native.Tests.Tap;

public sealed class AddressesSpec
{
    [Fact]
    public void A_MAC_address_is_read_as_written()
    {
        Gen.Byte.Array[MacAddress.Size].Sample(bytes =>
        {
            var mac = new MacAddress(bytes);
            Assert.Equal(bytes, mac.ToArray());
            Assert.Equal(mac, MacAddress.Parse(mac.ToString()));
            Assert.Equal(mac, MacAddress.Parse(mac.ToString().ToUpperInvariant().Replace(':', '-')));
            Assert.Equal((bytes[0] & 1) != 0, mac.IsMulticast);
        });
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("52:54:00:12:34")]
    [InlineData("52:54:00:12:34:56:78")]
    [InlineData("52:54:00:12:34:5")]
    [InlineData("52:54:00:12:34:5g")]
    [InlineData("52:54:00:12:34:+5")]
    [InlineData("52:54-00:12:34:56")]
    [InlineData("525400123456")]
    [InlineData(" 2:54:00:12:34:56")]
    [InlineData("52 54 00 12 34 56")]
    public void What_is_no_MAC_address_is_refused(string? text) => Assert.False(MacAddress.TryParse(text, out _));

    [Fact]
    public void What_cannot_be_parsed_is_named_in_the_exception()
    {
        Assert.Contains("'nonsense'", Assert.Throws<FormatException>(() => MacAddress.Parse("nonsense")).Message);
        Assert.Contains("'10.0.0.1'", Assert.Throws<FormatException>(() => IpPrefix.Parse("10.0.0.1")).Message);
        Assert.Throws<ArgumentException>(() => new MacAddress(new byte[5]));
    }

    [Fact]
    public void A_random_MAC_address_is_local_and_belongs_to_one_card()
    {
        MacAddress[] macs = [.. Enumerable.Range(0, 100).Select(_ => MacAddress.Random())];
        Assert.All(macs, mac => Assert.True(mac.IsLocal && !mac.IsMulticast && !mac.IsZero));
        Assert.Equal(100, macs.Distinct().Count());
    }

    [Theory]
    [InlineData("192.0.2.1/24")]
    [InlineData("0.0.0.0/0")]
    [InlineData("192.0.2.255/32")]
    [InlineData("2001:db8::1/64")]
    [InlineData("::/0")]
    [InlineData("fe80::1/128")]
    public void A_prefix_is_read_as_written(string text)
    {
        IpPrefix prefix = IpPrefix.Parse(text);
        Assert.Equal(text, prefix.ToString());
        Assert.Equal(text.Contains(':'), prefix.IsIpv6);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("192.0.2.1")]
    [InlineData("192.0.2.1/")]
    [InlineData("192.0.2.1/33")]
    [InlineData("192.0.2.1/-1")]
    [InlineData("192.0.2.1/ 8")]
    [InlineData("192.0.2.1/24/24")]
    [InlineData("192.0.2/24")]
    [InlineData("192.0.2.01/24")]
    [InlineData("0x7f.0.0.1/8")]
    [InlineData("2001:db8::1/129")]
    [InlineData("[2001:db8::1]/64")]
    [InlineData("fe80::1%eth0/64")]
    [InlineData("host/24")]
    public void What_is_no_prefix_is_refused(string? text) => Assert.False(IpPrefix.TryParse(text, out _));
}
