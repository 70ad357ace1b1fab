using System.Globalization;
using Serilog.Events;
using Serilog.Formatting;

namespace Ringmaster.Host.Logging;

/// <summary>Lines for a person: time, level, message, and an exception below it.</summary>
internal sealed class TextFormatter : ITextFormatter
{
    public void Format(LogEvent logEvent, TextWriter output)
    {
        string time = logEvent.Timestamp.ToString("yyyy-MM-dd'T'HH:mm:ss.fffzzz", CultureInfo.InvariantCulture);
        output.Write($"{time} {LevelNames.Of(logEvent.Level),-7} {PlainText.Render(logEvent)}\n");
        if (logEvent.Exception is not null)
        {
            output.Write($"{logEvent.Exception}\n");
        }
    }
}
