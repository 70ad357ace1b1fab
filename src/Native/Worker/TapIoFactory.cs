using Ringmaster.Native.Linux;

namespace Ringmaster.Native.Worker;

/// <summary>Chooses a worker's I/O engine. Called on the worker's thread, to which an io_uring is bound.</summary>
internal static class TapIoFactory
{
    /// <summary>Makes the engine that the plan asks for.</summary>
    /// <param name="plan">Says which engine, and on which TAP queue.</param>
    /// <param name="fallback">Why <see cref="IoEngine.Auto"/> did not get io_uring, or null.</param>
    /// <exception cref="LinuxException">io_uring was demanded and is refused.</exception>
    internal static TapIo Create(WorkerPlan plan, out string? fallback)
    {
        fallback = null;
        if (plan.Io == IoEngine.Syscall)
        {
            return new SyscallTapIo(plan.Tap.Fd);
        }

        try
        {
            return new UringTapIo(plan.Tap.Fd);
        }
        catch (LinuxException refusal) when (plan.Io == IoEngine.Auto)
        {
            fallback = refusal.Message;
            return new SyscallTapIo(plan.Tap.Fd);
        }
    }
}
