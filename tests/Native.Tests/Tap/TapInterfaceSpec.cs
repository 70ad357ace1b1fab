using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Tap;

public sealed class TapInterfaceSpec : IDisposable
{
    private readonly TemporaryNetwork? _net;

    public TapInterfaceSpec()
    {
        _net = Requirement.HasNetworkNamespaces ? new TemporaryNetwork() : null;
    }

    private TemporaryNetwork Net
    {
        get
        {
            Requirement.NetworkNamespaces();
            return _net!;
        }
    }

    public void Dispose() => _net?.Dispose();

    [SkippableFact]
    public void Every_option_is_set_and_the_interface_goes_with_its_queues()
    {
        var mac = MacAddress.Parse("02:00:00:aa:bb:cc");
        var options = new TapOptions
        {
            Name = "t0",
            Queues = 3,
            NetworkNamespace = Net.Path,
            HostMac = mac,
            Mtu = 9000,
            Addresses = [IpPrefix.Parse("192.0.2.1/24"), IpPrefix.Parse("2001:db8::1/64")],
        };

        using (TapInterface tap = TapInterface.Open(options))
        {
            LinkInfo link = Find("t0")!;
            Assert.Equal("t0", tap.Name);
            Assert.Equal(9000, tap.Mtu);
            Assert.Equal([0, 1, 2], tap.Queues.Select(queue => queue.Index));
            Assert.Equal((true, 9000, 3), (link.Up, link.Mtu, link.Tun!.Queues));
            Assert.Equal(mac.ToArray(), link.Address);
            Assert.Contains("192.0.2.1/24", HostAddresses("t0"));
            Assert.Contains("2001:db8::1/64", HostAddresses("t0"));
        }

        Assert.Null(Find("t0"));
    }

    private LinkInfo? Find(string name) => Net.Run(() =>
    {
        using var netlink = new Rtnetlink();
        return netlink.Find(name);
    });

    private IEnumerable<string> HostAddresses(string name) => Net.Run(() =>
        System.Net.NetworkInformation.NetworkInterface.GetAllNetworkInterfaces()
            .Single(found => found.Name == name)
            .GetIPProperties()
            .UnicastAddresses
            .Select(address => $"{address.Address}/{address.PrefixLength}")
            .ToArray());
}
