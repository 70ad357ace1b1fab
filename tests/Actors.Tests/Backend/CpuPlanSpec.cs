using Ringmaster.Actors.Backend;
using Ringmaster.Actors.Settings;
using Ringmaster.Actors.Tests.Support;

namespace Ringmaster.Actors.Tests.Backend;

public sealed class CpuPlanSpec
{
    [Fact]
    public void Pairs_take_the_listed_CPUs_in_turn() =>
        Assert.Equal([4, 6, 4], Assign([Device("net0", 3, 4, 6)], allowed: [0, 1])["net0"]);

    [Fact]
    public void Without_a_list_no_two_pairs_share_a_CPU()
    {
        Dictionary<string, int?[]> plan = Assign([Device("net0", 2), Device("net1", 1)], allowed: [0, 2, 3, 5]);
        Assert.Equal([0, 2], plan["net0"]);
        Assert.Equal([3], plan["net1"]);
    }

    [Fact]
    public void With_fewer_CPUs_than_workers_none_of_them_is_pinned()
    {
        Dictionary<string, int?[]> plan = Assign([Device("net0", 2), Device("net1", 1)], allowed: [0, 1]);
        Assert.All(plan.Values, cpus => Assert.All(cpus, cpu => Assert.Null(cpu)));
    }

    [Fact]
    public void Listed_CPUs_are_not_given_to_others()
    {
        Dictionary<string, int?[]> plan = Assign([Device("net0", 2), Device("net1", 1, 0)], allowed: [0, 1, 2]);
        Assert.Equal([1, 2], plan["net0"]);
        Assert.Equal([0], plan["net1"]);
    }

    [Fact]
    public void A_newcomer_gets_what_is_left_or_is_not_pinned()
    {
        Assert.Equal([2], Assign([Device("net2", 1)], allowed: [0, 1, 2], taken: [0, 1])["net2"]);
        Assert.Equal([null, null], Assign([Device("net2", 2)], allowed: [0, 1, 2], taken: [0, 1])["net2"]);
    }

    private static DeviceSettings Device(string name, int pairs, params int[] cpus)
    {
        DeviceSettings settings = TestDevices.Create(name, "unused", pairs);
        return settings with { Worker = settings.Worker with { Cpus = [.. cpus] } };
    }

    private static Dictionary<string, int?[]> Assign(
        DeviceSettings[] devices,
        int[] allowed,
        params int[] taken) => CpuPlan.Assign(devices, allowed, taken)
        .ToDictionary(each => each.Key, each => each.Value.ToArray());
}
