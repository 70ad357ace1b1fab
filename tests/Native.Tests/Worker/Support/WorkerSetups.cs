using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker.Support;

/// <summary>Engines and features that tests of the worker are repeated with.</summary>
public static class WorkerSetups
{
    public const VirtioFeatures NoMergeable = VirtioFeatures.Version1 | VirtioFeatures.IndirectDesc;

    /// <summary>Engines and ring features in the combinations that change the paths taken.</summary>
    public static TheoryData<IoEngine, VirtioFeatures> All
    {
        get
        {
            var setups = new TheoryData<IoEngine, VirtioFeatures>();
            foreach (IoEngine engine in (IoEngine[])[IoEngine.Syscall, IoEngine.IoUring])
            {
                setups.Add(engine, WorkerBench.Modern);
                setups.Add(engine, NoMergeable);
                setups.Add(engine, VirtioFeatures.None);
                setups.Add(engine, WorkerBench.Modern | VirtioFeatures.InOrder);
                setups.Add(engine, WorkerBench.Modern | VirtioFeatures.RingPacked);
                setups.Add(engine, WorkerBench.Modern | VirtioFeatures.RingPacked | VirtioFeatures.InOrder);
                setups.Add(engine, NoMergeable | VirtioFeatures.RingPacked);
            }

            return setups;
        }
    }

    /// <summary>Engines and ring formats, for what needs mergeable buffers.</summary>
    public static TheoryData<IoEngine, VirtioFeatures> Mergeable => new()
    {
        { IoEngine.Syscall, WorkerBench.Modern },
        { IoEngine.IoUring, WorkerBench.Modern },
        { IoEngine.Syscall, WorkerBench.Modern | VirtioFeatures.RingPacked },
        { IoEngine.IoUring, WorkerBench.Modern | VirtioFeatures.RingPacked },
    };
}
