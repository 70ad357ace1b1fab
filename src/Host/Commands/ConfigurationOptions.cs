using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using Akka.Configuration;
using Ringmaster.Actors.Settings;
using Ringmaster.Host.Configuration;

namespace Ringmaster.Host.Commands;

/// <summary>The options that choose the configuration, shared by all commands that read it.</summary>
internal sealed class ConfigurationOptions
{
    // 0 to 2 are the standard streams.
    private const int FirstInheritedFd = 3;

    private readonly Option<string[]> _files = new("--config", "-c")
    {
        Description = "A HOCON file over HOCON.conf; may be given again, the later one wins.",
        HelpName = "FILE",
        Arity = ArgumentArity.OneOrMore,
    };

    private readonly Option<string[]> _definitions = new("-D", "--define")
    {
        Description = "One key over all files, such as ringmaster.log.level=debug; may be given again.",
        HelpName = "KEY=VALUE",
        Arity = ArgumentArity.OneOrMore,
    };

    private readonly Option<string?> _socketPath = new("--socket-path")
    {
        Description = "The socket of the one device of the configuration.",
        HelpName = "PATH",
    };

    private readonly Option<string?> _fd = new("--fd")
    {
        Description = "The inherited file descriptor of the one device's socket; in place of --socket-path.",
        HelpName = "N",
    };

    internal void AddTo(Command command)
    {
        command.Options.Add(_files);
        command.Options.Add(_definitions);
        command.Options.Add(_socketPath);
        command.Options.Add(_fd);
    }

    /// <summary>True when an option says where the one device's socket is; that goes before a service manager's.</summary>
    internal bool NamesSocket(ParseResult parsed) => parsed.GetValue(_socketPath) is not null || parsed.GetValue(_fd) is not null;

    /// <summary>Reads and checks everything that was asked for.</summary>
    /// <exception cref="Configuration.ConfigurationException">A layer cannot be read, or the options contradict.</exception>
    /// <exception cref="SettingsException">The layers together are not a configuration.</exception>
    internal BackendSettings Load(ParseResult parsed)
    {
        Config config = ConfigurationLoader.Load(parsed.GetValue(_files) ?? [], parsed.GetValue(_definitions) ?? []);
        string? path = parsed.GetValue(_socketPath);
        string? number = parsed.GetValue(_fd);
        int? fd = number is null ? null : FdOf(number);
        Refuse(path is not null && fd is not null, "--socket-path and --fd are incompatible");

        BackendSettings settings = BackendSettings.Load(config);
        return path is null && fd is null ? settings : settings with { Devices = [OnlyDevice(settings.Devices, path, fd)] };
    }

    private static int FdOf(string number)
    {
        bool ok = int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int fd) && fd >= FirstInheritedFd;
        Refuse(!ok, $"--fd={number}: allowed is the number of an inherited socket, {FirstInheritedFd} or more");
        return fd;
    }

    private static DeviceSettings OnlyDevice(ImmutableArray<DeviceSettings> devices, string? path, int? fd)
    {
        string option = path is null ? "--fd" : "--socket-path";
        string names = string.Join(", ", devices.Select(device => device.Name));
        Refuse(devices.Length != 1, string.Create(
            CultureInfo.InvariantCulture, $"{option} is for one device, and {devices.Length} are enabled: {names}"));
        Refuse(
            path is not null && !DeviceSettings.IsSocketPath(path),
            $"--socket-path={path}: allowed is {DeviceSettings.AllowedSocketPath}");
        return devices[0] with { Socket = path ?? devices[0].Socket, SocketFd = fd };
    }

    private static void Refuse(bool condition, string problem)
    {
        if (condition)
        {
            throw new Configuration.ConfigurationException(problem);
        }
    }
}
