namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>What one side of a ring has told the other of its wish to be notified; it stands in memory until changed.</summary>
internal enum Wish
{
    Always,
    Never,
    AtSlot,
}

/// <summary>
/// When one side owes the other a notification (virtio 1.3 sections 2.7.7, 2.7.10 and 2.8.10), by slots that are counted
/// from the ring's first and never start again. A wish for a slot recurs: slots are written modulo
/// <paramref name="period"/>.
/// </summary>
internal sealed class ModelNotifications(long period, Wish first)
{
    private Wish _wish = first;
    private long _slot;

    /// <summary>True when no notification is wanted, whatever happens.</summary>
    internal bool Refused => _wish == Wish.Never;

    internal void Set(Wish wish, long slot = 0)
    {
        _wish = wish;
        _slot = slot;
    }

    /// <summary>Whether the step from one slot to a later one must be notified.</summary>
    internal bool Owed(long from, long to) => to > from && _wish switch
    {
        Wish.Always => true,
        Wish.Never => false,
        _ => (((_slot - from) % period) + period) % period < to - from,
    };
}
