using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Tap;

/// <summary>Interfaces and their queues; alone, since the process's queues are counted.</summary>
[Collection(Alone.Name)]
public sealed class TapInterfaceSpec : IDisposable
{
    private readonly Lazy<TapFixture> _lazy = new(() =>
    {
        Requirement.NetworkNamespaces();
        return new TapFixture();
    });

    private TapFixture Fixture => _lazy.Value;

    public void Dispose()
    {
        if (_lazy.IsValueCreated)
        {
            _lazy.Value.Dispose();
        }
    }

    [SkippableFact]
    public void Every_option_is_set_and_the_interface_goes_with_its_queues()
    {
        var mac = MacAddress.Parse("02:00:00:aa:bb:cc");
        Fixture.AddBridge("br0");
        using (TapInterface tap = Fixture.Open(TapFixture.Options("t0", queues: 3) with
        {
            HostMac = mac,
            Mtu = 9000,
            Addresses = [IpPrefix.Parse("192.0.2.1/24"), IpPrefix.Parse("198.51.100.7/32"), IpPrefix.Parse("2001:db8::1/64")],
            Bridge = "br0",
        }))
        {
            LinkInfo link = Fixture.Find("t0")!;
            Assert.Equal(("t0", 9000), (tap.Name, tap.Mtu));
            Assert.Equal([0, 1, 2], tap.Queues.Select(queue => queue.Index));
            Assert.Equal((true, 9000, 3), (link.Up, link.Mtu, link.Tun!.Queues));
            Assert.Equal(mac.ToArray(), link.Address);
            Assert.Equal(Fixture.Find("br0")!.Index, link.Master);
            HashSet<string> addresses = ["192.0.2.1/24", "198.51.100.7/32", "2001:db8::1/64"];
            Assert.Superset(addresses, Fixture.Addresses("t0").ToHashSet());
        }

        Assert.Equal(["br0", "lo"], Fixture.InterfaceNames());
    }

    [SkippableTheory]
    [InlineData("")]
    [InlineData("tap%d")]
    public void The_kernel_chooses_a_name_where_none_is_given(string name)
    {
        using TapInterface first = Fixture.Open(TapFixture.Options(name, queues: 2));
        using TapInterface second = Fixture.Open(TapFixture.Options(name));
        Assert.Equal(("tap0", "tap1"), (first.Name, second.Name));
        Assert.Equal(2, Fixture.Find("tap0")!.Tun!.Queues);
    }

    [SkippableFact]
    public void Without_a_namespace_the_callers_own_is_used()
    {
        using TapInterface tap = Fixture.Net.Run(() => TapInterface.Open(TapFixture.Options()));
        Assert.NotNull(Fixture.Find("t0"));

        // Set from a thread that is in another namespace.
        tap.SetMtu(1400);
        Assert.Equal((1400, 1400), (tap.Mtu, Fixture.Find("t0")!.Mtu));
    }

    [SkippableFact]
    public void An_interface_is_kept_when_asked_and_taken_over_by_the_next()
    {
        var mac = MacAddress.Random();
        TapOptions options = TapFixture.Options(queues: 2) with
        {
            Persist = true,
            HostMac = mac,
            Addresses = [IpPrefix.Parse("192.0.2.1/24")],
        };
        int index;
        using (Fixture.Open(options))
        {
            index = Fixture.Find("t0")!.Index;
        }

        LinkInfo kept = Fixture.Find("t0")!;
        Assert.Equal((index, true, 0), (kept.Index, kept.Tun!.Persistent, kept.Tun.Queues));

        using (Fixture.Open(options with { Persist = false, Queues = 4 }))
        {
            LinkInfo taken = Fixture.Find("t0")!;
            Assert.Equal((index, true, 4), (taken.Index, taken.Tun!.Persistent, taken.Tun.Queues));
            Assert.Equal(mac.ToArray(), taken.Address);
        }

        Assert.NotNull(Fixture.Find("t0"));
    }

    [SkippableFact]
    public void A_new_interface_has_no_queueing_discipline_and_one_that_was_there_keeps_its_own()
    {
        using TapInterface made = Fixture.Open(TapFixture.Options("t0", queues: 2));
        Assert.Equal("noqueue", Fixture.Find("t0")!.QueueingDiscipline);

        Fixture.AddPersistent("t1", multiQueue: true);
        using TapInterface taken = Fixture.Open(TapFixture.Options("t1", queues: 2));
        Assert.Equal((true, "mq"), (Fixture.Find("t1")!.Up, Fixture.Find("t1")!.QueueingDiscipline));
    }

    [SkippableFact]
    public void An_interface_that_was_made_with_one_queue_serves_one_queue()
    {
        Fixture.AddPersistent("t0", multiQueue: false);
        using (TapInterface tap = Fixture.Open(TapFixture.Options()))
        {
            tap.SetQueueAttached(0, attached: false);
            tap.SetOffloads(TapOffloads.Csum);
            Assert.False(Fixture.Find("t0")!.Tun!.MultiQueue);
            Assert.Equal(Errno.EBUSY, Assert.Throws<LinuxException>(() => Fixture.Open(TapFixture.Options())).Error);
        }

        var e = Assert.Throws<LinuxException>(() => Fixture.Open(TapFixture.Options(queues: 2)));
        Assert.Equal(Errno.EEXIST, e.Error);
        Assert.Contains("it was made with one queue, 2 are wanted", e.Message);
    }

    [SkippableFact]
    public void An_interface_that_somebody_has_open_stays_his()
    {
        using TapInterface first = Fixture.Open(TapFixture.Options(queues: 2));
        var e = Assert.Throws<LinuxException>(() => Fixture.Open(TapFixture.Options(queues: 2)));
        Assert.Equal(Errno.EBUSY, e.Error);
        Assert.Contains("open TAP t0", e.Message);

        // A queue that is detached is open all the same.
        first.SetQueueAttached(0, false);
        first.SetQueueAttached(1, false);
        Assert.Equal(Errno.EBUSY, Assert.Throws<LinuxException>(() => Fixture.Open(TapFixture.Options())).Error);
        Assert.Equal(2, Fixture.Find("t0")!.Tun!.Queues);
    }

    [SkippableFact]
    public void An_interface_of_another_kind_is_left_alone()
    {
        Fixture.AddBridge("br0");
        Assert.Equal(Errno.EEXIST, Assert.Throws<LinuxException>(() => Fixture.Open(TapFixture.Options("br0"))).Error);
        var e = Assert.Throws<LinuxException>(() => Fixture.Open(TapFixture.Options("lo")));
        Assert.Contains("open TAP lo: EEXIST", e.Message);
    }

    [SkippableFact]
    public void A_failed_opening_leaves_no_interface_and_no_descriptor()
    {
        _ = Fixture;
        int before = TunFds();
        TapOptions[] bad =
        [
            TapFixture.Options() with { Bridge = "no-bridge" },
            TapFixture.Options() with { Bridge = "lo" },
            TapFixture.Options() with { Mtu = 67 },
            TapFixture.Options() with { Mtu = 70_000, Persist = true },
            TapFixture.Options() with { Addresses = [IpPrefix.Parse("192.0.2.1/24"), IpPrefix.Parse("ff02::1/64")] },
        ];
        Assert.All(bad, options =>
        {
            var e = Assert.Throws<LinuxException>(() => Fixture.Open(options with { Queues = 2 }));
            Assert.Contains("t0", e.Message);
            Assert.Equal(["lo"], Fixture.InterfaceNames());
        });
        Assert.Equal(before, TunFds());
    }

    [SkippableFact]
    public void A_failed_takeover_leaves_the_interface_as_it_was()
    {
        var mac = MacAddress.Random();
        Fixture.AddBridge("br0");
        Fixture.Open(TapFixture.Options() with
        {
            Persist = true,
            HostMac = mac,
            Mtu = 1400,
            Addresses = [IpPrefix.Parse("192.0.2.1/24")],
        }).Dispose();
        LinkInfo before = Fixture.Find("t0")!;
        Fixture.Net.Run(() =>
        {
            using var netlink = new Rtnetlink();
            netlink.SetUp(before, up: false);
        });

        Assert.Throws<LinuxException>(() => Fixture.Open(TapFixture.Options() with
        {
            HostMac = MacAddress.Random(),
            Mtu = 9000,
            Bridge = "br0",
            Addresses = [IpPrefix.Parse("192.0.2.1/24"), IpPrefix.Parse("192.0.2.2/24"), IpPrefix.Parse("ff02::1/64")],
        }));

        LinkInfo after = Fixture.Find("t0")!;
        Assert.Equal((before.Index, false, 1400, 0), (after.Index, after.Up, after.Mtu, after.Master));
        Assert.Equal(mac.ToArray(), after.Address);
        Assert.Equal(["192.0.2.1/24"], Fixture.Addresses("t0").Where(address => !address.Contains(':')));
    }

    [SkippableFact]
    public void A_user_without_the_right_is_told_what_it_takes()
    {
        TapInterface Open() => TapInterface.Open(TapFixture.Options());
        TemporaryNetwork net = Fixture.Net;
        var e = Assert.Throws<LinuxException>(() => net.RunWithoutCapabilities(Open));
        Assert.Equal(Errno.EPERM, e.Error);
        Assert.Contains("ioctl(TUNSETIFF, t0)", e.Message);
        Assert.Contains("CAP_NET_ADMIN", e.Message);
        Assert.Contains("unshare -Urn", e.Message);
    }

    [SkippableFact]
    public void A_worker_that_leases_a_queue_keeps_the_interface_until_it_lets_go()
    {
        TapInterface tap = Fixture.Open(TapFixture.Options());
        FdLease worker = tap.Queues[0].Fd.Lease();
        tap.Dispose();
        tap.Dispose();
        Assert.NotNull(Fixture.Find("t0"));
        worker.Dispose();
        Assert.Null(Fixture.Find("t0"));
    }

    [Theory]
    [InlineData("sixteen-letters-")]
    [InlineData("a/b")]
    [InlineData("a b")]
    [InlineData("a:b")]
    [InlineData("a%sb")]
    [InlineData("..")]
    public void A_name_that_no_interface_can_have_is_refused(string name)
    {
        var e = Assert.Throws<ArgumentException>(() => TapInterface.Open(TapFixture.Options(name)));
        Assert.Contains(name, e.Message);
    }

    [Fact]
    public void Options_that_make_no_sense_are_refused_before_anything_is_opened()
    {
        TapOptions[] bad =
        [
            TapFixture.Options(queues: 0),
            TapFixture.Options(queues: 257),
            TapFixture.Options() with { HostMac = default(MacAddress) },
            TapFixture.Options() with { HostMac = MacAddress.Parse("01:00:5e:00:00:01") },
        ];
        Assert.All(bad, options => Assert.Throws<ArgumentException>(() => TapInterface.Open(options)));
    }

    [SkippableFact]
    public void As_many_queues_as_the_kernel_gives_are_opened()
    {
        using TapInterface tap = Fixture.Open(TapFixture.Options(queues: TapOptions.MaxQueues));
        Assert.Equal(TapOptions.MaxQueues, Fixture.Find("t0")!.Tun!.Queues);
    }

    [SkippableFact]
    public void A_namespace_that_does_not_exist_is_named()
    {
        Requirement.NetworkNamespaces();
        TapOptions options = TapFixture.Options() with { NetworkNamespace = "no-such-net" };
        var e = Assert.Throws<LinuxException>(() => TapInterface.Open(options));
        Assert.Contains("/run/netns/no-such-net", e.Message);
    }

    private static int TunFds() =>
        Directory.EnumerateFileSystemEntries("/proc/self/fd").Count(entry => new FileInfo(entry).LinkTarget == "/dev/net/tun");
}
