namespace Ringmaster.Native.Memory;

/// <summary>Counts who holds something unmanaged. Begins at 1, ends for good at 0. Thread-safe; keep it in a field.</summary>
internal struct ReferenceCount
{
    private int _count;

    public ReferenceCount() => _count = 1;

    /// <summary>One more holder.</summary>
    /// <exception cref="ObjectDisposedException">Nobody holds it any more.</exception>
    internal void Retain(object owner)
    {
        int seen = Volatile.Read(ref _count);
        int before;
        while (seen > 0 && (before = Interlocked.CompareExchange(ref _count, seen + 1, seen)) != seen)
        {
            seen = before;
        }

        ObjectDisposedException.ThrowIf(seen <= 0, owner);
    }

    /// <summary>One holder less.</summary>
    /// <returns>True for the last one, exactly once.</returns>
    /// <exception cref="InvalidOperationException">More was released than retained.</exception>
    internal bool Release()
    {
        int left = Interlocked.Decrement(ref _count);
        return left >= 0 ? left == 0 : throw new InvalidOperationException("Memory was released more often than retained.");
    }
}
