using System.Collections.Immutable;
using System.Globalization;
using Ringmaster.Actors.Settings;

namespace Ringmaster.Host.Configuration;

/// <summary>One socket that a service manager passed.</summary>
/// <param name="Fd">Its number.</param>
/// <param name="Name">What the manager calls it; "unknown" when it gave no names.</param>
internal sealed record ActivatedSocket(int Fd, string Name);

/// <summary>
/// The sockets that a service manager opened for this process: the protocol of systemd's sd_listen_fds(3), LISTEN_PID, LISTEN_FDS
/// and LISTEN_FDNAMES.
/// </summary>
/// <remarks>
/// A socket goes to the device of its name (FileDescriptorName= in the socket unit). Where there is one socket and one
/// device, the name does not matter. A socket without a device is an error: who connects to it would wait for ever.
/// </remarks>
internal sealed class SocketActivation
{
    private const int FirstFd = 3;
    private const string Unnamed = "unknown";
    private static readonly string[] Variables = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"];

    private readonly string? _count;
    private readonly string? _names;

    private SocketActivation(string? count, string? names)
    {
        _count = count;
        _names = names;
    }

    /// <summary>
    /// Reads the variables, and takes them away so that no child of this process mistakes them for its own. Variables that are
    /// another process's mean nothing.
    /// </summary>
    internal static SocketActivation Take()
    {
        string?[] values = [.. Variables.Select(Environment.GetEnvironmentVariable)];
        foreach (string variable in Variables)
        {
            Environment.SetEnvironmentVariable(variable, null);
        }

        bool ours = values[0] == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        return Of(ours ? values[1] : null, values[2]);
    }

    /// <param name="count">LISTEN_FDS, or null: nothing was passed.</param>
    /// <param name="names">LISTEN_FDNAMES.</param>
    internal static SocketActivation Of(string? count, string? names) => new(count, names);

    /// <summary>Gives each socket to its device.</summary>
    /// <exception cref="ConfigurationException">The variables make no sense, or a socket has no device.</exception>
    internal BackendSettings ApplyTo(BackendSettings settings)
    {
        ImmutableArray<ActivatedSocket> sockets = Sockets();
        if (sockets.Length == 1 && settings.Devices.Length == 1)
        {
            return settings with { Devices = [settings.Devices[0] with { SocketFd = sockets[0].Fd }] };
        }

        var fds = new Dictionary<string, int>(StringComparer.Ordinal);
        string enabled = string.Join(", ", settings.Devices.Select(device => device.Name));
        foreach (ActivatedSocket socket in sockets)
        {
            Refuse(
                settings.Devices.All(device => device.Name != socket.Name),
                $"{Describe(socket)} has no device; enabled are {enabled}");
            Refuse(!fds.TryAdd(socket.Name, socket.Fd), $"{Describe(socket)} has the name of another; a device has one socket");
        }

        return settings with { Devices = [.. settings.Devices.Select(device => WithSocket(device, fds))] };
    }

    private static DeviceSettings WithSocket(DeviceSettings device, Dictionary<string, int> fds) =>
        fds.TryGetValue(device.Name, out int fd) ? device with { SocketFd = fd } : device;

    private ImmutableArray<ActivatedSocket> Sockets()
    {
        if (_count is null)
        {
            return [];
        }

        bool isNumber = int.TryParse(_count, NumberStyles.None, CultureInfo.InvariantCulture, out int count);
        Refuse(!isNumber || count > ushort.MaxValue, $"LISTEN_FDS={_count}: allowed is how many sockets were passed");
        string[] names = string.IsNullOrEmpty(_names) ? [.. Enumerable.Repeat(Unnamed, count)] : _names.Split(':');
        Refuse(names.Length != count, $"LISTEN_FDNAMES={_names}: allowed are as many names as LISTEN_FDS says, {count}");
        return [.. names.Select((name, index) => new ActivatedSocket(FirstFd + index, name))];
    }

    private static string Describe(ActivatedSocket socket) => $"socket '{socket.Name}' of the service manager (fd {socket.Fd})";

    private static void Refuse(bool condition, string problem)
    {
        if (condition)
        {
            throw new ConfigurationException(problem);
        }
    }
}
