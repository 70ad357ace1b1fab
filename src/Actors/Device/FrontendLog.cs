using Akka.Event;

namespace Ringmaster.Actors.Device;

/// <summary>
/// The log for what a front-end, or its guest, can cause as often as it likes. So that it cannot fill the log, a device has
/// <see cref="Burst"/> such lines, and one more each <see cref="Refill"/>, whoever its front-ends are; what is beyond is logged
/// as debug. Used by the device's actor alone.
/// </summary>
/// <param name="log">The device's log.</param>
/// <param name="device">Its name.</param>
/// <param name="clock">A monotonic clock.</param>
internal sealed class FrontendLog(ILoggingAdapter log, string device, Func<TimeSpan> clock) : ILoggingAdapter
{
    /// <summary>As many as a card of many queue pairs needs for some starts of its guest.</summary>
    internal const int Burst = 1000;

    /// <summary>After which there may be one line more.</summary>
    internal static readonly TimeSpan Refill = TimeSpan.FromSeconds(1);

    private double _left = Burst;
    private TimeSpan _counted = clock();
    private bool _told;

    public ILogMessageFormatter Formatter => log.Formatter;

    public bool IsDebugEnabled => log.IsDebugEnabled;

    public bool IsInfoEnabled => log.IsInfoEnabled;

    public bool IsWarningEnabled => log.IsWarningEnabled;

    public bool IsErrorEnabled => log.IsErrorEnabled;

    public bool IsEnabled(LogLevel logLevel) => log.IsEnabled(logLevel);

    public void Log(LogLevel logLevel, Exception? cause, LogMessage message) => log.Log(LevelOf(logLevel), cause, message);

    public void Log(LogLevel logLevel, Exception? cause, string format) => log.Log(LevelOf(logLevel), cause, format);

    private LogLevel LevelOf(LogLevel wanted)
    {
        if (wanted == LogLevel.DebugLevel || !log.IsEnabled(wanted))
        {
            return wanted;
        }

        TimeSpan now = clock();
        _left = Math.Min(Burst, _left + ((now - _counted) / Refill));
        _counted = now;
        _told &= _left < Burst / 2;
        if (_left >= 1)
        {
            _left--;
            return wanted;
        }

        if (!_told)
        {
            _told = true;
            log.Warning(
                "device {Device}: its front-end causes too many lines; from here on most of them are logged as debug only",
                device);
        }

        return LogLevel.DebugLevel;
    }
}
