using Ringmaster.Actors.Settings;

namespace Ringmaster.Actors.Backend;

/// <summary>
/// Tells whether a reload changes a device. Records compare their arrays by reference; this compares the elements.
/// </summary>
internal static class SettingsComparison
{
    /// <summary>
    /// True when the device can go on serving while its MTU is changed. To offer MTU, or not, takes a new front-end.
    /// </summary>
    internal static bool DifferInMtuAlone(DeviceSettings one, DeviceSettings other) =>
        one.Mtu is not null && other.Mtu is not null && one.Mtu != other.Mtu && Same(one with { Mtu = other.Mtu }, other);

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
