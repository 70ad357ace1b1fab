namespace Ringmaster.Actors.Settings;

/// <summary>What the answer to GET_QUEUE_NUM counts; front-ends disagree.</summary>
public enum QueueNumUnit
{
    /// <summary>Vrings, two for each pair: accepted by QEMU, DPDK and cloud-hypervisor.</summary>
    Vrings,

    /// <summary>Queue pairs, as QEMU and DPDK themselves mean it; cloud-hypervisor refuses that.</summary>
    Pairs,
}
