using System.Collections.Concurrent;
using System.Diagnostics;
using Akka.Actor;
using Akka.Configuration;
using Akka.Dispatch;
using Akka.Event;

namespace Ringmaster.Actors.Backend;

/// <summary>
/// Akka's timers on those of the runtime: nothing wakes until one is due. Akka's own scheduler ticks for as long as the
/// process lives, which is what an idle back-end would spend its CPU time on. Any thread.
/// </summary>
public sealed class SleepingScheduler : SchedulerBase, IDateTimeOffsetNowTimeProvider, IDisposable
{
    private readonly ConcurrentDictionary<Entry, Entry> _entries = new();
    private volatile bool _disposed;

    /// <summary>Akka makes it by its name in <c>akka.scheduler.implementation</c>.</summary>
    public SleepingScheduler(Config config, ILoggingAdapter log)
        : base(config, log)
    {
    }

    /// <inheritdoc/>
    public override TimeSpan MonotonicClock => HighResMonotonicClock;

    /// <inheritdoc/>
    public override TimeSpan HighResMonotonicClock => Stopwatch.GetElapsedTime(0);

    /// <inheritdoc/>
    protected override DateTimeOffset TimeNow => DateTimeOffset.Now;

    /// <summary>What is not due yet never will be, and what is scheduled from now on is dropped.</summary>
    public void Dispose()
    {
        _disposed = true;
        foreach (Entry entry in _entries.Keys)
        {
            entry.End();
        }
    }

    /// <inheritdoc/>
    protected override void InternalScheduleTellOnce(
        TimeSpan delay,
        ICanTell receiver,
        object message,
        IActorRef sender,
        ICancelable cancelable) =>
        Schedule(delay, Timeout.InfiniteTimeSpan, () => receiver.Tell(message, sender), cancelable);

    /// <inheritdoc/>
    protected override void InternalScheduleTellRepeatedly(
        TimeSpan initialDelay,
        TimeSpan interval,
        ICanTell receiver,
        object message,
        IActorRef sender,
        ICancelable cancelable) =>
        Schedule(initialDelay, interval, () => receiver.Tell(message, sender), cancelable);

    /// <inheritdoc/>
    protected override void InternalScheduleOnce(TimeSpan delay, Action action, ICancelable cancelable) =>
        Schedule(delay, Timeout.InfiniteTimeSpan, action, cancelable);

    /// <inheritdoc/>
    protected override void InternalScheduleOnce(TimeSpan delay, IRunnable action, ICancelable cancelable) =>
        Schedule(delay, Timeout.InfiniteTimeSpan, action.Run, cancelable);

    /// <inheritdoc/>
    protected override void InternalScheduleRepeatedly(
        TimeSpan initialDelay,
        TimeSpan interval,
        Action action,
        ICancelable cancelable) => Schedule(initialDelay, interval, action, cancelable);

    /// <inheritdoc/>
    protected override void InternalScheduleRepeatedly(
        TimeSpan initialDelay,
        TimeSpan interval,
        IRunnable action,
        ICancelable cancelable) => Schedule(initialDelay, interval, action.Run, cancelable);

    private void Schedule(TimeSpan delay, TimeSpan interval, Action action, ICancelable? cancelable)
    {
        var entry = new Entry(this, action, once: interval == Timeout.InfiniteTimeSpan);
        _entries.TryAdd(entry, entry);
        entry.Start(delay, interval, cancelable?.Token ?? CancellationToken.None);
        if (_disposed)
        {
            entry.End();
        }
    }

    /// <summary>One thing to do, once or again and again. The scheduler's table keeps it alive until it has ended.</summary>
    private sealed class Entry
    {
        private readonly SleepingScheduler _owner;
        private readonly Action _action;
        private readonly bool _once;
        private readonly Timer _timer;
        private CancellationTokenRegistration _cancellation;
        private CancellationToken _cancelled;
        private volatile bool _ended;

        internal Entry(SleepingScheduler owner, Action action, bool once)
        {
            _owner = owner;
            _action = action;
            _once = once;
            _timer = new Timer(Fire, null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }

        internal void Start(TimeSpan delay, TimeSpan interval, CancellationToken cancelled)
        {
            _cancelled = cancelled;
            _timer.Change(delay, interval);
            _cancellation = cancelled.UnsafeRegister(entry => ((Entry)entry!).End(), this);
            if (_ended)
            {
                // It was due before its cancellation was registered.
                _cancellation.Unregister();
            }
        }

        internal void End()
        {
            _ended = true;
            _timer.Dispose();
            _cancellation.Unregister();
            _owner._entries.TryRemove(this, out _);
        }

        private void Fire(object? state)
        {
            if (_ended || _cancelled.IsCancellationRequested)
            {
                return;
            }

            if (_once)
            {
                End();
            }

            try
            {
                _action();
            }
            catch (Exception failure)
            {
                // A timer's thread has no caller: what a scheduled action throws would end the process.
                _owner.Log.Error(failure, "a scheduled action failed");
            }
        }
    }
}
