using System.Net;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Settings;

public sealed class BackendSettingsSpec
{
    [Fact]
    public void The_reference_configuration_alone_gives_one_device()
    {
        BackendSettings settings = BackendSettings.Load(ReferenceConfiguration.Value);

        DeviceSettings device = Assert.Single(settings.Devices);
        Assert.Equal("net0", device.Name);
        Assert.Equal("/run/ringmaster/net0.sock", device.Socket);
        Assert.Null(device.SocketFd);
        Assert.Equal(DeviceMode.Server, device.Mode);
        Assert.Equal(TimeSpan.FromMilliseconds(100), device.Connect.MinBackoff);
        Assert.Equal(TimeSpan.FromSeconds(2), device.Connect.MaxBackoff);
        Assert.Equal(2, device.QueuePairs);
        Assert.Equal(1024, device.QueueSize);
        Assert.Equal(QueueNumUnit.Vrings, device.QueueNum);
        Assert.Null(device.Mac);
        Assert.Null(device.Mtu);
        Assert.Equal("rm-net0", device.Tap.Name);
        Assert.Equal(new IpPrefix(IPAddress.Parse("192.168.76.1"), 24), Assert.Single(device.Tap.Addresses));
        Assert.Equal(IoEngine.Auto, device.Worker.Io);
        Assert.Equal(BusyPoll.Auto, device.Worker.BusyPoll);
        Assert.False(device.Worker.Merge);
        Assert.Null(device.Worker.CpuOf(0));
        Assert.Equal(TimeSpan.FromMilliseconds(50), device.Restart.MinBackoff);
        Assert.Equal(TimeSpan.FromMinutes(1), device.Restart.Window);
        Assert.Equal(new LogSettings(LogThreshold.Info, LogFormat.Text), settings.Log);
    }

    [Fact]
    public void Every_feature_of_the_table_but_RING_RESET_and_ACCESS_PLATFORM_is_on_in_the_reference_configuration()
    {
        DeviceSettings device = BackendSettings.Load(ReferenceConfiguration.Value).Devices[0];

        Assert.All(FeatureNames.Device, row => Assert.Equal(
            row.Feature is not (VirtioFeatures.RingReset or VirtioFeatures.AccessPlatform),
            device.Features.HasFlag(row.Feature)));
        Assert.All(FeatureNames.Protocol, feature => Assert.True(device.ProtocolFeatures.HasFlag(feature), feature.ToString()));
    }

    [Fact]
    public void A_device_takes_what_it_does_not_say_from_the_defaults()
    {
        BackendSettings settings = Load("""
            ringmaster.device-defaults { queue-size = 256, worker.cpus = [4, 6], tap.netns = lab }
            ringmaster.devices {
              net0.enabled = off
              a { queue-pairs = 8, mac = "02:00:00:00:00:0a", mtu = 9000, worker.io = syscall }
              b { queue-size = 512
                tap { name = "tap%d", address = ["fd00::1/64"], bridge = br0, host-mac = "02:00:00:00:00:0b", persist = on } }
            }
            """);

        Assert.Equal(["a", "b"], settings.Devices.Select(device => device.Name));
        (DeviceSettings a, DeviceSettings b) = (settings.Devices[0], settings.Devices[1]);
        Assert.Equal((8, 256, "/run/ringmaster/a.sock", "rm-a"), (a.QueuePairs, a.QueueSize, a.Socket, a.Tap.Name));
        Assert.Equal((MacAddress.Parse("02:00:00:00:00:0a"), 9000), (a.Mac, a.Mtu));
        Assert.Equal((IoEngine.Syscall, IoEngine.Auto), (a.Worker.Io, b.Worker.Io));
        Assert.Equal([4, 6, 4], Enumerable.Range(0, 3).Select(pair => a.Worker.CpuOf(pair)!.Value));
        Assert.Equal((2, 512, "tap%d", "br0", "lab"), (b.QueuePairs, b.QueueSize, b.Tap.Name, b.Tap.Bridge, b.Tap.Netns));
        Assert.Equal(MacAddress.Parse("02:00:00:00:00:0b"), b.Tap.HostMac);
        Assert.True(b.Tap.Persist);
        Assert.Equal("fd00::1/64", Assert.Single(b.Tap.Addresses).ToString());
    }

    [Theory]
    [InlineData(
        "csum",
        VirtioFeatures.Csum
        | VirtioFeatures.HostTso4 | VirtioFeatures.HostTso6 | VirtioFeatures.HostEcn | VirtioFeatures.HostUfo
        | VirtioFeatures.HostUso)]
    [InlineData(
        "guest-csum",
        VirtioFeatures.GuestCsum
        | VirtioFeatures.GuestTso4 | VirtioFeatures.GuestTso6 | VirtioFeatures.GuestEcn | VirtioFeatures.GuestUfo
        | VirtioFeatures.GuestUso4 | VirtioFeatures.GuestUso6)]
    [InlineData("ctrl-vq", VirtioFeatures.CtrlVq | VirtioFeatures.Mq | VirtioFeatures.GuestAnnounce)]
    [InlineData("host-tso4", VirtioFeatures.HostTso4)]
    [InlineData("mrg-rxbuf", VirtioFeatures.MrgRxbuf)]
    [InlineData("version-1", VirtioFeatures.Version1 | VirtioFeatures.RingPacked | VirtioFeatures.NotificationData)]
    public void A_masked_feature_is_not_offered_and_neither_is_what_depends_on_it(string name, VirtioFeatures gone)
    {
        VirtioFeatures all = BackendSettings.Load(ReferenceConfiguration.Value).Devices[0].Features;

        DeviceSettings device = Load($"ringmaster.devices.net0.features.{name} = off").Devices[0];

        Assert.Equal(all & ~gone, device.Features);
    }

    [Fact]
    public void A_masked_protocol_feature_is_not_offered()
    {
        ProtocolFeatures all = BackendSettings.Load(ReferenceConfiguration.Value).Devices[0].ProtocolFeatures;

        DeviceSettings device = Load("ringmaster.devices.net0.protocol-features.configure-mem-slots = off").Devices[0];

        Assert.Equal(all & ~ProtocolFeatures.ConfigureMemSlots, device.ProtocolFeatures);
    }

    [Theory]
    [InlineData("50", 50)]
    [InlineData("50us", 50)]
    [InlineData("1.5ms", 1500)]
    [InlineData("0", 0)]
    public void Busy_poll_is_in_microseconds_when_no_unit_is_given(string text, int microseconds)
    {
        DeviceSettings device = Load($"ringmaster.devices.net0.worker.busy-poll = {text}").Devices[0];

        Assert.Equal(new BusyPoll(TimeSpan.FromMicroseconds(microseconds)), device.Worker.BusyPoll);
    }

    [Theory]
    [InlineData("debug", "DEBUG", "ERROR")]
    [InlineData("off", "OFF", "OFF")]
    public void Akkas_own_level_follows_the_log_level(string level, string expected, string expectedStdout)
    {
        BackendSettings settings = Load($"ringmaster.log.level = {level}");

        Assert.Equal(expected, settings.ActorSystem.GetString("akka.loglevel", null));
        Assert.Equal(expectedStdout, settings.ActorSystem.GetString("akka.stdout-loglevel", null));
        Assert.Equal("off", settings.ActorSystem.GetString("akka.coordinated-shutdown.run-by-clr-shutdown-hook", null));
    }

    [Fact]
    public void What_check_prints_gives_the_same_settings_when_it_is_read_again()
    {
        BackendSettings settings = Load("""
            ringmaster.device-defaults.worker { busy-poll = 1500, merge = on }
            ringmaster.devices {
              a { mac = "02:00:00:00:00:0a", mtu = 9000, worker.cpus = [1], features.csum = off, restart.window = 90s }
              b { worker.busy-poll = auto, protocol-features.rarp = off,
                  tap.bridge = br0, tap.netns = "/run/netns/lab", tap.address = "10.0.0.1/8" }
            }
            """);

        string text = SettingsText.Of(settings);
        BackendSettings again = Load(text);

        Assert.Equal(text, SettingsText.Of(again));
        Assert.Contains("window = 90s", text, StringComparison.Ordinal);
        Assert.Contains("busy-poll = 1500us", text, StringComparison.Ordinal);
        Assert.Contains("busy-poll = auto", text, StringComparison.Ordinal);
        Assert.Contains("merge = on", text, StringComparison.Ordinal);
        Assert.Contains("host-uso = off", text, StringComparison.Ordinal);
    }

    private static BackendSettings Load(string hocon) => BackendSettings.Load(ReferenceConfiguration.With(hocon));
}
