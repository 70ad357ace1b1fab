using Ringmaster.Actors.Settings;

namespace Ringmaster.Actors.Device;

/// <summary>
/// How often one pair may fail: at most N restarts within a window, each later than the one before by an exponential
/// back-off. Used by the device's supervisor alone.
/// </summary>
internal sealed class RestartBudget
{
    private readonly RestartSettings _settings;
    private readonly Queue<TimeSpan> _restarts = new();

    internal RestartBudget(RestartSettings settings) => _settings = settings;

    /// <summary>Restarts granted since the last <see cref="Reset"/> and still in the window.</summary>
    internal int Spent => _restarts.Count;

    /// <summary>Asks for one more restart.</summary>
    /// <param name="now">A monotonic clock.</param>
    /// <returns>How long to wait before it, or null when the budget is used up.</returns>
    internal TimeSpan? Spend(TimeSpan now)
    {
        while (_restarts.TryPeek(out TimeSpan oldest) && now - oldest >= _settings.Window)
        {
            _restarts.Dequeue();
        }

        if (_restarts.Count >= _settings.MaxRestarts)
        {
            return null;
        }

        _restarts.Enqueue(now);
        return Backoff.Delay(_settings.MinBackoff, _settings.MaxBackoff, _restarts.Count);
    }

    /// <summary>A fresh chance.</summary>
    internal void Reset() => _restarts.Clear();
}

/// <summary>
/// The exponential back-off that restarts of workers, new attempts to open a device and attempts to reach a front-end share.
/// </summary>
internal static class Backoff
{
    /// <summary>The least wait of what is tried for ever: to fail at once must neither cost a CPU nor fill the log.</summary>
    internal static readonly TimeSpan Floor = TimeSpan.FromMilliseconds(10);

    /// <summary>The wait before something that is tried for ever, however little the settings ask for.</summary>
    /// <param name="settings">They say how long.</param>
    /// <param name="attempt">1 for the first.</param>
    internal static TimeSpan ForEver(RestartSettings settings, int attempt)
    {
        TimeSpan delay = Delay(settings.MinBackoff, settings.MaxBackoff, attempt);
        return delay < Floor ? Floor : delay;
    }

    /// <summary>
    /// The smallest wait before the first attempt; twice as long before each further one, up to the greatest wait.
    /// </summary>
    /// <param name="smallest">The wait before the first attempt.</param>
    /// <param name="greatest">The longest wait.</param>
    /// <param name="attempt">1 for the first.</param>
    internal static TimeSpan Delay(TimeSpan smallest, TimeSpan greatest, int attempt)
    {
        // From nothing doubling leads nowhere: only the first wait may be none.
        long first = attempt == 1 ? smallest.Ticks : Math.Max(smallest.Ticks, TimeSpan.TicksPerMillisecond);
        double ticks = first * Math.Pow(2, Math.Min(attempt - 1, 30));
        return ticks >= greatest.Ticks ? greatest : TimeSpan.FromTicks((long)ticks);
    }
}
