namespace Ringmaster.Native.Worker;

/// <content>
/// Frames for which there are not enough chains. They wait, in the order in which they were read, in the scratch buffers of the
/// reads that brought them; nothing is read meanwhile. The next kick tries them again.
/// </content>
internal sealed unsafe partial class TapToGuest<TRing>
{
    private const int MaxHeldTries = 1024;

    /// <summary><see cref="WorkerPlan.HeldFor"/>.</summary>
    private readonly int _heldMilliseconds;
    private readonly HeldFrame[] _held = new HeldFrame[MaxBatch];
    private int _heldFirst;
    private int _heldEnd;
    private int _heldTries;
    private int _heldAhead;
    private long _heldUntil;

    private bool Holds => _heldFirst < _heldEnd;

    internal override int SleepLimit => Holds && Enabled && !Stalled && Broken is null
        ? (int)Math.Clamp(_heldUntil - Environment.TickCount64, 0, _heldMilliseconds)
        : base.SleepLimit;

    /// <summary>
    /// Lays a contiguous frame out over the next chains, or holds it until there are enough. Behind a held frame all wait, or
    /// they would overtake it.
    /// </summary>
    private void LayOut(int read, int length)
    {
        if (!Holds && TryLayOut(Scratch(read), length))
        {
            return;
        }

        if (!_mergeable)
        {
            Counters.Add(WorkerCounter.RxDropped, 1);
            return;
        }

        if (!Holds)
        {
            _heldFirst = _heldEnd = 0;
            HoldOn();
        }

        _held[_heldEnd++] = new HeldFrame { Read = read, Length = length };
    }

    /// <summary>Lays out as many held frames as fit; gives up the first of them when its time is over.</summary>
    private bool RetryHeld()
    {
        int before = _heldFirst;
        while (Holds && TryLayOut(Scratch(_held[_heldFirst].Read), _held[_heldFirst].Length))
        {
            _heldFirst++;
        }

        if (_heldFirst > before)
        {
            HoldOn();
            return true;
        }

        int ahead = AvailableSlots();
        if ((ahead != _heldAhead && ++_heldTries >= MaxHeldTries) || Environment.TickCount64 >= _heldUntil)
        {
            Counters.Add(WorkerCounter.RxDropped, 1);
            _heldFirst++;
            HoldOn();
            return true;
        }

        _heldAhead = ahead;
        return false;
    }

    /// <summary>The patience with the first held frame begins anew.</summary>
    private void HoldOn()
    {
        _heldTries = 0;
        _heldUntil = Environment.TickCount64 + _heldMilliseconds;
        _heldAhead = AvailableSlots();
    }

    /// <summary>A frame that waits in the scratch buffer of the read that brought it.</summary>
    private struct HeldFrame
    {
        internal int Read;
        internal int Length;
    }
}
