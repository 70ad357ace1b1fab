using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Settings;

/// <summary>Reads one device. Each key is named here and in HOCON.conf, and nowhere else.</summary>
internal static class DeviceSettingsReader
{
    // The device's name, in a socket's path or an interface's name.
    private const string DevicePlaceholder = "{device}";

    private static readonly TimeSpan LongestBusyPoll = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestWindow = TimeSpan.FromHours(1);
    private static readonly TimeSpan LongestBackoff = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan ShortestTimeout = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestTimeout = TimeSpan.FromMinutes(1);

    /// <param name="name">The device's name.</param>
    /// <param name="reader">Over the device's section with the defaults merged in.</param>
    /// <returns>The device and whether it is wanted; meaningless when an error was added.</returns>
    internal static (DeviceSettings Device, bool Enabled) Read(string name, SettingsReader reader)
    {
        bool enabled = reader.Value("enabled", ValueForms.Switch);
        var device = new DeviceSettings
        {
            Name = name,
            Mode = reader.Value("mode", ValueForms.OneOf<DeviceMode>()),
            Socket = reader.Template("socket", DevicePlaceholder, name, ValueForms.SocketPath),
            Connect = ReadConnect(reader.Section("connect")),
            QueuePairs = reader.Value("queue-pairs", ValueForms.Integer(1, 128)),
            QueueSize = reader.Value("queue-size", ValueForms.PowerOfTwo(2, 32768)),
            QueueNum = reader.Value("queue-num", ValueForms.OneOf<QueueNumUnit>()),
            Mac = reader.Value("mac", ValueForms.Mac.OrNone()),
            Mtu = reader.Value("mtu", ValueForms.Integer(68, 65535).OrNone()),
            Tap = ReadTap(name, reader.Section("tap")),
            Worker = ReadWorker(reader.Section("worker")),
            Features = ReadFeatures(reader.Section("features")),
            ProtocolFeatures = ReadProtocolFeatures(reader.Section("protocol-features")),
            Restart = ReadRestart(reader.Section("restart")),
        };
        reader.RefuseUnknown();
        return (device, enabled);
    }

    private static ConnectSettings ReadConnect(SettingsReader reader)
    {
        var connect = new ConnectSettings
        {
            MinBackoff = reader.Value("min-backoff", ValueForms.Duration(ShortestTimeout, LongestBackoff)),
            MaxBackoff = reader.Value("max-backoff", ValueForms.Duration(ShortestTimeout, LongestBackoff)),
        };
        RefuseLess(reader, connect.MaxBackoff, connect.MinBackoff);
        reader.RefuseUnknown();
        return connect;
    }

    private static TapSettings ReadTap(string device, SettingsReader reader)
    {
        var tap = new TapSettings
        {
            Name = reader.Template("name", DevicePlaceholder, device, ValueForms.TapName),
            Addresses = reader.List("address", ValueForms.Prefix),
            HostMac = reader.Value("host-mac", ValueForms.Mac.OrNone()),
            Bridge = reader.Value("bridge", ValueForms.InterfaceName.NameOrNone()),
            Netns = reader.Value("netns", ValueForms.Namespace.NameOrNone()),
            Persist = reader.Value("persist", ValueForms.Switch),
        };
        reader.RefuseUnknown();
        return tap;
    }

    private static WorkerSettings ReadWorker(SettingsReader reader)
    {
        var worker = new WorkerSettings
        {
            Cpus = reader.List("cpus", ValueForms.Integer(0, 8191), empty: ValueForms.Auto),
            Io = reader.Value("io", ValueForms.OneOf<IoEngine>()),
            BusyPoll = reader.Value("busy-poll", ValueForms.BusyPoll(LongestBusyPoll)),
            Merge = reader.Value("merge", ValueForms.Switch),
        };
        reader.RefuseUnknown();
        return worker;
    }

    private static RestartSettings ReadRestart(SettingsReader reader)
    {
        var restart = new RestartSettings
        {
            MaxRestarts = reader.Value("max-restarts", ValueForms.Integer(0, 1000)),
            Window = reader.Value("window", ValueForms.Duration(TimeSpan.FromSeconds(1), LongestWindow)),
            MinBackoff = reader.Value("min-backoff", ValueForms.Duration(TimeSpan.Zero, LongestBackoff)),
            MaxBackoff = reader.Value("max-backoff", ValueForms.Duration(TimeSpan.Zero, LongestBackoff)),
            WorkerTimeout = reader.Value("worker-timeout", ValueForms.Duration(ShortestTimeout, LongestTimeout)),
        };
        RefuseLess(reader, restart.MaxBackoff, restart.MinBackoff);
        reader.RefuseUnknown();
        return restart;
    }

    private static void RefuseLess(SettingsReader reader, TimeSpan maxBackoff, TimeSpan minBackoff)
    {
        if (maxBackoff < minBackoff)
        {
            (string found, string least) = (ValueForms.Text(maxBackoff), ValueForms.Text(minBackoff));
            reader.Refuse("max-backoff", $"found '{found}'; allowed is no less than min-backoff, which is {least}");
        }
    }

    private static VirtioFeatures ReadFeatures(SettingsReader reader)
    {
        var features = VirtioFeatures.None;
        foreach ((VirtioFeatures feature, _) in FeatureNames.Device)
        {
            features |= reader.Value(FeatureNames.Name(feature), ValueForms.Switch) ? feature : VirtioFeatures.None;
        }

        reader.RefuseUnknown();
        return FeatureNames.Closed(features);
    }

    private static ProtocolFeatures ReadProtocolFeatures(SettingsReader reader)
    {
        var features = ProtocolFeatures.None;
        foreach (ProtocolFeatures feature in FeatureNames.Protocol)
        {
            features |= reader.Value(FeatureNames.Name(feature), ValueForms.Switch) ? feature : ProtocolFeatures.None;
        }

        reader.RefuseUnknown();
        return features;
    }
}
