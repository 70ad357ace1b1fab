using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Settings;

/// <summary>Settings as HOCON, every value spelled out; reading it over HOCON.conf gives the same settings again.</summary>
public static class SettingsText
{
    /// <summary>Writes the whole of <c>ringmaster { }</c>.</summary>
    public static string Of(BackendSettings settings)
    {
        var writer = new Writer();
        writer.Section("ringmaster", () =>
        {
            writer.Section("devices", () =>
            {
                foreach (DeviceSettings device in settings.Devices)
                {
                    writer.Section(device.Name, () => Device(writer, device));
                }
            });
            writer.Section("log", () =>
            {
                writer.Value("level", ValueForms.Text(settings.Log.Level));
                writer.Value("format", ValueForms.Text(settings.Log.Format));
            });
        });
        return writer.ToString();
    }

    private static void Device(Writer writer, DeviceSettings device)
    {
        writer.Value("enabled", "on");
        writer.Value("mode", ValueForms.Text(device.Mode));
        writer.Quoted("socket", device.Socket);
        writer.Section("connect", () => Connect(writer, device.Connect));
        writer.Value("queue-pairs", Number(device.QueuePairs));
        writer.Value("queue-size", Number(device.QueueSize));
        writer.Value("queue-num", ValueForms.Text(device.QueueNum));
        writer.Optional("mac", device.Mac?.ToString());
        writer.Value("mtu", device.Mtu is { } mtu ? Number(mtu) : ValueForms.None);
        writer.Section("tap", () => Tap(writer, device.Tap));
        writer.Section("worker", () => Worker(writer, device.Worker));
        writer.Section("restart", () => Restart(writer, device.Restart));
        writer.Section("features", () => Features(writer, device.Features));
        writer.Section("protocol-features", () => Features(writer, device.ProtocolFeatures));
    }

    private static void Connect(Writer writer, ConnectSettings connect)
    {
        writer.Value("min-backoff", ValueForms.Text(connect.MinBackoff));
        writer.Value("max-backoff", ValueForms.Text(connect.MaxBackoff));
    }

    private static void Tap(Writer writer, TapSettings tap)
    {
        writer.Quoted("name", tap.Name);
        writer.Value("address", List(tap.Addresses, address => Writer.Quote(address.ToString())));
        writer.Optional("host-mac", tap.HostMac?.ToString());
        writer.Optional("bridge", tap.Bridge);
        writer.Optional("netns", tap.Netns);
        writer.Value("persist", Switch(tap.Persist));
    }

    private static void Worker(Writer writer, WorkerSettings worker)
    {
        writer.Value("cpus", worker.Cpus.IsEmpty ? ValueForms.Auto : List(worker.Cpus, Number));
        writer.Value("io", ValueForms.Text(worker.Io));
        writer.Value("busy-poll", ValueForms.Text(worker.BusyPoll));
        writer.Value("merge", Switch(worker.Merge));
    }

    private static void Restart(Writer writer, RestartSettings restart)
    {
        writer.Value("max-restarts", Number(restart.MaxRestarts));
        writer.Value("window", ValueForms.Text(restart.Window));
        writer.Value("min-backoff", ValueForms.Text(restart.MinBackoff));
        writer.Value("max-backoff", ValueForms.Text(restart.MaxBackoff));
        writer.Value("worker-timeout", ValueForms.Text(restart.WorkerTimeout));
    }

    private static void Features(Writer writer, VirtioFeatures features)
    {
        foreach ((VirtioFeatures feature, _) in FeatureNames.Device)
        {
            writer.Value(FeatureNames.Name(feature), Switch(features.HasFlag(feature)));
        }
    }

    private static void Features(Writer writer, ProtocolFeatures features)
    {
        foreach (ProtocolFeatures feature in FeatureNames.Protocol)
        {
            writer.Value(FeatureNames.Name(feature), Switch(features.HasFlag(feature)));
        }
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Switch(bool value) => value ? "on" : "off";

    private static string List<T>(ImmutableArray<T> items, Func<T, string> text) => $"[{string.Join(", ", items.Select(text))}]";

    private sealed class Writer
    {
        private readonly StringBuilder _text = new();
        private int _depth;

        public override string ToString() => _text.ToString();

        internal static string Quote(string text) =>
            $"\"{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";

        internal void Section(string name, Action body)
        {
            Line($"{name} {{");
            _depth++;
            body();
            _depth--;
            Line("}");
        }

        internal void Value(string key, string value) => Line($"{key} = {value}");

        internal void Quoted(string key, string value) => Value(key, Quote(value));

        internal void Optional(string key, string? value) => Value(key, value is null ? ValueForms.None : Quote(value));

        private void Line(string line) => _text.Append(' ', 2 * _depth).Append(line).Append('\n');
    }
}
