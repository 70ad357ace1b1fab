namespace Ringmaster.Native.Worker;

/// <summary>The two rings of a queue pair, by the guest's names (virtio 1.3 section 5.1.2).</summary>
public enum RingSide
{
    /// <summary>receiveq: the host's frames go to the guest. Vring index 2 x pair.</summary>
    Rx = 0,

    /// <summary>transmitq: the guest's frames come to the host. Vring index 2 x pair + 1.</summary>
    Tx = 1,
}
