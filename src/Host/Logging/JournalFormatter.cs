using Serilog.Events;
using Serilog.Formatting;

namespace Ringmaster.Host.Logging;

/// <summary>
/// Lines for systemd's journal: a syslog level in angle brackets (sd-daemon(3)) before each, no time, since the
/// journal has one. Every line of an exception gets its own level, or it would be filed as information.
/// </summary>
internal sealed class JournalFormatter : ITextFormatter
{
    public void Format(LogEvent logEvent, TextWriter output)
    {
        int level = logEvent.Level switch
        {
            LogEventLevel.Fatal => 2,
            LogEventLevel.Error => 3,
            LogEventLevel.Warning => 4,
            LogEventLevel.Information => 6,
            _ => 7,
        };
        string text = PlainText.Render(logEvent);
        foreach (string line in (logEvent.Exception is null ? text : $"{text}\n{logEvent.Exception}").Split('\n'))
        {
            output.Write($"<{level}>{line}\n");
        }
    }
}
