using Ringmaster.Actors.Settings;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Support;

/// <summary>Settings of devices under test.</summary>
internal static class TestDevices
{
    internal const VirtioFeatures Features = VirtioFeatures.Version1 | VirtioFeatures.ProtocolFeatures | VirtioFeatures.MrgRxbuf
        | VirtioFeatures.Mq | VirtioFeatures.GuestCsum | VirtioFeatures.EventIdx;

    internal const ProtocolFeatures ProtocolFeatures = Native.VhostUser.ProtocolFeatures.Mq
        | Native.VhostUser.ProtocolFeatures.ReplyAck | Native.VhostUser.ProtocolFeatures.Rarp
        | Native.VhostUser.ProtocolFeatures.Mtu | Native.VhostUser.ProtocolFeatures.Status
        | Native.VhostUser.ProtocolFeatures.ConfigureMemSlots
        | Native.VhostUser.ProtocolFeatures.ResetDevice;

    internal static RestartSettings Restart { get; } = new()
    {
        MaxRestarts = 3,
        Window = TimeSpan.FromMinutes(1),
        MinBackoff = TimeSpan.FromMilliseconds(100),
        MaxBackoff = TimeSpan.FromSeconds(2),
        WorkerTimeout = TimeSpan.FromSeconds(3),
    };

    internal static ConnectSettings Connect { get; } = new()
    {
        MinBackoff = TimeSpan.FromMilliseconds(100),
        MaxBackoff = TimeSpan.FromSeconds(1),
    };

    internal static DeviceSettings Create(string name, string socket, int pairs = 2) => new()
    {
        Name = name,
        Mode = DeviceMode.Server,
        Socket = socket,
        Connect = Connect,
        QueuePairs = pairs,
        QueueSize = 256,
        QueueNum = QueueNumUnit.Vrings,
        Tap = new TapSettings { Name = name, Persist = false },
        Worker = new WorkerSettings { Io = IoEngine.Syscall, BusyPoll = BusyPoll.Off, Merge = false },
        Features = Features,
        ProtocolFeatures = ProtocolFeatures,
        Restart = Restart,
    };
}
