namespace Ringmaster.Native.Worker;

/// <summary>
/// How long a worker without work looks for some before it sleeps: adaptive, as the kernel's halt_poll_ns is, so that polling
/// is paid only where it finds something. Times are in ticks of whatever clock the caller has. The worker's thread only.
/// <list type="bullet">
/// <item>Work came after the window but within the limit: polling longer would have found it, so the window grows.</item>
/// <item>Nothing came within the limit: polling was in vain, so the window shrinks, in the end to nothing.</item>
/// <item>Polling found work: the window is as it should be.</item>
/// </list>
/// </summary>
/// <param name="limit">The longest window; 0 = sleep at once, always.</param>
/// <param name="first">The window that it grows to from nothing.</param>
internal sealed class PollWindow(long limit, long first)
{
    private bool _idle;
    private long _idleSince;

    /// <summary>True where polling is wanted at all.</summary>
    internal bool On => limit > 0;

    /// <summary>How long the next search will be.</summary>
    internal long Length { get; private set; }

    /// <summary>There was work.</summary>
    internal void Busy() => _idle = false;

    /// <summary>There was no work. True while it is worth to go on looking.</summary>
    internal bool Continues(long now)
    {
        if (!_idle)
        {
            _idle = true;
            _idleSince = now;
        }

        return now - _idleSince < Length;
    }

    /// <summary>Something woke the worker from its sleep.</summary>
    internal void Woke(long now)
    {
        long idle = now - _idleSince;
        if (idle > limit)
        {
            Length = Length <= first ? 0 : Length / 2;
        }
        else if (idle > Length)
        {
            Length = Math.Min(Math.Max(Length * 2, first), limit);
        }

        _idle = false;
    }
}
