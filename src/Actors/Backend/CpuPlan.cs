using System.Collections.Immutable;
using Ringmaster.Actors.Settings;

namespace Ringmaster.Actors.Backend;

/// <summary>
/// Which CPU each pair's worker is pinned to. A device that lists CPUs has its pairs take them in turn. The others
/// (<c>auto</c>) get CPUs that nobody has, one each; where there are fewer than they have workers, none of them is pinned: two
/// workers bound to one CPU would starve each other while another CPU idles.
/// </summary>
internal static class CpuPlan
{
    /// <summary>Chooses for devices that come up together.</summary>
    /// <param name="devices">The newcomers.</param>
    /// <param name="allowed">The CPUs that the process may use.</param>
    /// <param name="taken">The CPUs of the devices that are up already.</param>
    /// <returns>For each device's name, one entry a pair; null = not pinned.</returns>
    internal static IReadOnlyDictionary<string, ImmutableArray<int?>> Assign(
        IReadOnlyCollection<DeviceSettings> devices,
        IEnumerable<int> allowed,
        IEnumerable<int> taken)
    {
        HashSet<int> used = [.. taken, .. devices.SelectMany(device => device.Worker.Cpus)];
        var free = new Queue<int>(allowed.Where(cpu => !used.Contains(cpu)).Order());
        bool enough = devices.Where(IsAuto).Sum(device => device.QueuePairs) <= free.Count;
        return devices.ToDictionary(device => device.Name, device => Of(device, enough ? free : null));
    }

    private static ImmutableArray<int?> Of(DeviceSettings device, Queue<int>? free) =>
        [.. Enumerable.Range(0, device.QueuePairs).Select(pair => IsAuto(device) ? free?.Dequeue() : device.Worker.CpuOf(pair))];

    private static bool IsAuto(DeviceSettings device) => device.Worker.Cpus.IsEmpty;
}
