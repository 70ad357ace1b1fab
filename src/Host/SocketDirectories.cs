using Ringmaster.Actors.Settings;
using Serilog;

namespace Ringmaster.Host;

/// <summary>Sees to it that the sockets have a place to be.</summary>
internal static class SocketDirectories
{
    // Owner and group: a front-end of the group can reach the sockets, others cannot.
    private const UnixFileMode Mode =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute;

    /// <summary>Makes the directories that are missing. Where that fails, the device itself will fail to listen.</summary>
    internal static void Make(IEnumerable<DeviceSettings> devices)
    {
        foreach (DeviceSettings device in devices.Where(device => device is { SocketFd: null, Mode: DeviceMode.Server }))
        {
            string directory = Path.GetDirectoryName(Path.GetFullPath(device.Socket)) ?? "/";
            try
            {
                Directory.CreateDirectory(directory, Mode);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                Log.Error(
                    "device {Device}: directory {Directory} cannot be made: {Reason}", device.Name, directory, error.Message);
            }
        }
    }
}
