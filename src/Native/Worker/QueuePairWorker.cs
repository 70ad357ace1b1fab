namespace Ringmaster.Native.Worker;

/// <summary>
/// One queue pair's dedicated thread and the surface through which others speak to it. Every member may be used from
/// any thread and none of them blocks.
/// </summary>
public sealed class QueuePairWorker
{
}
