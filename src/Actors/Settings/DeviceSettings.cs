using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Actors.Settings;

/// <summary>One virtual card: <c>ringmaster.devices.NAME</c> over <c>ringmaster.device-defaults</c>.</summary>
public sealed record DeviceSettings
{
    /// <summary>The device's name: key in HOCON, actor name, first word of its log lines. Letters, digits, '_' and '-'.</summary>
    public required string Name { get; init; }

    /// <summary>Who listens on the socket and who connects to it; not used when <see cref="SocketFd"/> is set.</summary>
    public required DeviceMode Mode { get; init; }

    /// <summary>Path of the Unix socket; not used when <see cref="SocketFd"/> is set.</summary>
    public required string Socket { get; init; }

    /// <summary>How client mode tries to reach the front-end.</summary>
    public required ConnectSettings Connect { get; init; }

    /// <summary>The number of an inherited listening socket (<c>--fd=N</c>), or null to bind <see cref="Socket"/>.</summary>
    public int? SocketFd { get; init; }

    /// <summary>Queue pairs offered: 1 to 128.</summary>
    public required int QueuePairs { get; init; }

    /// <summary>The largest ring that is accepted: a power of two, 2 to 32768.</summary>
    public required int QueueSize { get; init; }

    /// <summary>What GET_QUEUE_NUM counts.</summary>
    public required QueueNumUnit QueueNum { get; init; }

    /// <summary>The card's address in the configuration space; null = the front-end decides and MAC is not offered.</summary>
    public MacAddress? Mac { get; init; }

    /// <summary>The MTU in the configuration space, also set on the TAP: 68 to 65535; null = MTU is not offered.</summary>
    public int? Mtu { get; init; }

    /// <summary>The host's end.</summary>
    public required TapSettings Tap { get; init; }

    /// <summary>The threads.</summary>
    public required WorkerSettings Worker { get; init; }

    /// <summary>The device features that may be offered: what HOCON leaves on, less what depends on a masked one.</summary>
    public required VirtioFeatures Features { get; init; }

    /// <summary>The protocol features that may be offered.</summary>
    public required ProtocolFeatures ProtocolFeatures { get; init; }

    /// <summary>How failed workers are replaced.</summary>
    public required RestartSettings Restart { get; init; }

    /// <summary>What <see cref="IsSocketPath"/> allows, for an error message.</summary>
    public static string AllowedSocketPath => ValueForms.SocketPath.Allowed;

    /// <summary>True when a text can be <see cref="Socket"/>.</summary>
    public static bool IsSocketPath(string text) => ValueForms.SocketPath.TryParse(text, out _);
}
