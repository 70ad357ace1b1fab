namespace Ringmaster.Native.Worker;

/// <summary>What an event in the worker's epoll set is about. From <see cref="FirstWatch"/> on they are registered fds.</summary>
internal enum WorkerToken : ulong
{
    /// <summary>The mailbox has commands.</summary>
    Command,

    /// <summary>The TAP queue became readable or writable (edge).</summary>
    Tap,

    /// <summary>A kick on the receive ring.</summary>
    RxKick,

    /// <summary>A kick on the transmit ring.</summary>
    TxKick,

    /// <summary>The first of the fds registered by <see cref="WatchFd"/>.</summary>
    FirstWatch,
}
