using Ringmaster.Actors.Settings;

namespace Ringmaster.Actors.Backend;

/// <summary>
/// Tells whether a reload changes a device. Records compare their arrays by reference; this compares the elements.
/// </summary>
internal static class SettingsComparison
{
    internal static bool Same(DeviceSettings one, DeviceSettings other)
    {
        DeviceSettings aligned = one with
        {
            Tap = one.Tap with { Addresses = other.Tap.Addresses },
            Worker = one.Worker with { Cpus = other.Worker.Cpus },
        };
        return aligned == other
            && one.Tap.Addresses.AsSpan().SequenceEqual(other.Tap.Addresses.AsSpan())
            && one.Worker.Cpus.AsSpan().SequenceEqual(other.Worker.Cpus.AsSpan());
    }
}
