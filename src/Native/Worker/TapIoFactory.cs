namespace Ringmaster.Native.Worker;

/// <summary>Chooses a worker's I/O engine.</summary>
internal static class TapIoFactory
{
    /// <summary>Makes the engine that the plan asks for.</summary>
    internal static TapIo Create(WorkerPlan plan) => new SyscallTapIo(plan.Tap.Fd);
}
