namespace Ringmaster.Native.Worker;

/// <summary>What a worker is doing.</summary>
public enum WorkerState
{
    /// <summary>The thread is being set up.</summary>
    Starting,

    /// <summary>The loop runs.</summary>
    Running,

    /// <summary>The thread has ended as told.</summary>
    Exited,

    /// <summary>The thread has ended by a failure.</summary>
    Failed,
}
