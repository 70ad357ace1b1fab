using System.Diagnostics;

namespace Ringmaster.Native.Worker;

/// <summary>
/// How long a worker without work looks for some before it sleeps: adaptive, as the kernel's halt_poll_ns is, so that polling
/// is paid only where it finds something. Times are in ticks of whatever clock the caller has. The worker's thread only.
/// <list type="bullet">
/// <item>Work came after the window but within the limit: polling longer would have found it, so the window grows.</item>
/// <item>Nothing came within the limit: polling was in vain, so the window shrinks, in the end to nothing.</item>
/// <item>Polling found work: the window is as it should be.</item>
/// <item>Where only answers are worth it, anything else that came counts as nothing. An answer is a few frames after a few,
/// and not the same direction alone once more.</item>
/// </list>
/// </summary>
/// <param name="limit">The longest window; 0 = sleep at once, always.</param>
/// <param name="first">The window that it grows to from nothing.</param>
/// <param name="onlyForAnswers">Whether only answers are worth it.</param>
internal sealed class PollWindow(long limit, long first, bool onlyForAnswers)
{
    /// <summary>More frames than this between two waits are a stream, of which the next part comes by itself.</summary>
    private const long MostFramesOfAnExchange = 4;

    private static readonly TimeSpan FirstWindow = TimeSpan.FromMicroseconds(10);

    private FrameCount _before; // at the last wait's end
    private FrameCount _moved; // after the last batch
    private bool _idle;
    private long _idleSince;
    private long? _wokeAt;

    /// <summary>True where polling is wanted at all.</summary>
    internal bool On => limit > 0;

    /// <summary>How long the next search will be.</summary>
    internal long Length { get; private set; }

    /// <summary>What was asked for, in ticks of <see cref="Stopwatch"/>.</summary>
    internal static PollWindow Of(BusyPoll asked)
    {
        long limit = TicksOf(asked.Limit);
        return new PollWindow(limit, Math.Min(TicksOf(FirstWindow), limit), asked.OnlyForAnswers);
    }

    /// <summary>There was work.</summary>
    /// <param name="sent">Frames that ever went from the guest to the TAP.</param>
    /// <param name="received">Frames that ever went from the TAP to the guest.</param>
    internal void Busy(long sent, long received)
    {
        var moved = new FrameCount(sent, received);
        if (_idle)
        {
            _idle = false;
            Adapt(worthIt: !onlyForAnswers || IsAnswer(_moved - _before, moved - _moved));
            _before = _moved;
        }

        _moved = moved;
    }

    /// <summary>There was no work. True while it is worth to go on looking.</summary>
    internal bool Continues(long now)
    {
        if (!_idle)
        {
            _idle = true;
            _idleSince = now;
            _wokeAt = null;
        }

        return now - _idleSince < Length;
    }

    /// <summary>Something woke the worker from its sleep.</summary>
    internal void Woke(long now) => _wokeAt = now;

    private static long TicksOf(TimeSpan time) => (long)(time.TotalSeconds * Stopwatch.Frequency);

    private static bool IsAnswer(FrameCount question, FrameCount answer)
    {
        bool sameWay = (question.Sent == 0 && answer.Sent == 0) || (question.Received == 0 && answer.Received == 0);
        return !sameWay && question.Total <= MostFramesOfAnExchange && answer.Total <= MostFramesOfAnExchange;
    }

    /// <summary>The wait has ended: by polling, where nothing woke the worker.</summary>
    private void Adapt(bool worthIt)
    {
        long idle = _wokeAt - _idleSince ?? 0;
        if (!worthIt || idle > limit)
        {
            Length = Length <= first ? 0 : Length / 2;
        }
        else if (idle > Length)
        {
            Length = Math.Min(Math.Max(Length * 2, first), limit);
        }
    }

    /// <summary>Frames of both directions.</summary>
    private readonly record struct FrameCount(long Sent, long Received)
    {
        internal long Total => Sent + Received;

        public static FrameCount operator -(FrameCount one, FrameCount other) =>
            new(one.Sent - other.Sent, one.Received - other.Received);
    }
}
