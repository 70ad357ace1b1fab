namespace Ringmaster.Native.Worker;

/// <summary>
/// What is known of the TAP queue without asking it: the epoll edge sets a flag, the EAGAIN that proves it wrong clears
/// it. Shared by the pumps of one worker; its thread only.
/// </summary>
internal sealed class TapReadiness
{
    /// <summary>False from an EAGAIN on reading until the next edge.</summary>
    internal bool Readable { get; set; } = true;

    /// <summary>False from an EAGAIN on writing until the next edge.</summary>
    internal bool Writable { get; set; } = true;
}
