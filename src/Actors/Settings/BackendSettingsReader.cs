using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Akka.Configuration;

namespace Ringmaster.Actors.Settings;

/// <summary>Reads all of HOCON, and checks what only all devices together can get wrong.</summary>
internal static partial class BackendSettingsReader
{
    private const string Root = "ringmaster";
    private const string AkkaRoot = "akka";
    private const string DeviceNameAllowed = "1 to 64 letters, digits, '_' and '-', the first a letter or digit";

    internal static BackendSettings Read(Config config)
    {
        var errors = new List<SettingsError>();
        var top = new SettingsReader(ConfigurationNode.From(config), errors);
        SettingsReader ringmaster = top.Section(Root);
        top.Node(AkkaRoot);
        top.RefuseUnknown();

        LogSettings log = ReadLog(ringmaster.Section("log"));
        ImmutableArray<DeviceSettings> devices = ReadDevices(ringmaster, errors);
        ringmaster.RefuseUnknown();
        if (errors.Count > 0)
        {
            // A wrong default is met once for every device.
            throw new SettingsException([.. errors.Distinct()]);
        }

        return new BackendSettings { Devices = devices, Log = log, ActorSystem = AkkaOf(config, log) };
    }

    private static LogSettings ReadLog(SettingsReader reader)
    {
        var log = new LogSettings(
            reader.Value("level", ValueForms.OneOf<LogThreshold>()),
            reader.Value("format", ValueForms.OneOf<LogFormat>()));
        reader.RefuseUnknown();
        return log;
    }

    private static ImmutableArray<DeviceSettings> ReadDevices(SettingsReader ringmaster, List<SettingsError> errors)
    {
        ConfigurationNode defaults = ringmaster.Node("device-defaults");
        SettingsReader section = ringmaster.Section("devices");
        var devices = ImmutableArray.CreateBuilder<DeviceSettings>();
        foreach ((string name, ConfigurationNode node) in section.Named())
        {
            if (!DeviceName().IsMatch(name))
            {
                errors.Add(new SettingsError(node.Path, $"found the device name '{name}'; allowed are {DeviceNameAllowed}"));
                continue;
            }

            var reader = new SettingsReader(node.Over(defaults), errors);
            (DeviceSettings device, bool enabled) = DeviceSettingsReader.Read(name, reader);
            if (enabled)
            {
                devices.Add(device);
            }
        }

        RefuseShared(devices, section.Path, "socket", device => device.Socket, errors);
        RefuseShared(devices, section.Path, "tap.name", TapPlace, errors);
        if (devices.Count == 0 && errors.Count == 0)
        {
            errors.Add(new SettingsError(section.Path, "found no device that is enabled; allowed is one or more"));
        }

        return devices.ToImmutable();
    }

    /// <summary>Names are unique within a network namespace; with %d the kernel sees to it.</summary>
    private static string? TapPlace(DeviceSettings device) => device.Tap.Name.Contains('%', StringComparison.Ordinal)
        ? null
        : $"{device.Tap.Name} in {device.Tap.Netns ?? "the process's namespace"}";

    private static void RefuseShared(
        IEnumerable<DeviceSettings> devices,
        string path,
        string key,
        Func<DeviceSettings, string?> valueOf,
        List<SettingsError> errors)
    {
        var owners = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (DeviceSettings device in devices)
        {
            string? value = valueOf(device);
            if (!string.IsNullOrEmpty(value) && !owners.TryAdd(value, device.Name))
            {
                errors.Add(new SettingsError(
                    $"{path}.{device.Name}.{key}",
                    $"found '{value}', which {owners[value]} has; allowed is one that no other device has"));
            }
        }
    }

    /// <summary>Akka filters by its own level before a logger sees a line, so that it must follow ours.</summary>
    private static Config AkkaOf(Config config, LogSettings log)
    {
        string level = ValueForms.Text(log.Level).ToUpperInvariant();
        string early = log.Level == LogThreshold.Off ? "OFF" : "ERROR";
        Config levels = ConfigurationFactory.ParseString($"akka {{ loglevel = {level}, stdout-loglevel = {early} }}");
        return levels.WithFallback(config);
    }

    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    private static partial Regex DeviceName();
}
