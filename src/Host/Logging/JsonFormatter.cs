using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Serilog.Events;
using Serilog.Formatting;

namespace Ringmaster.Host.Logging;

/// <summary>Lines for a machine: one JSON object each, with time, level, message, its values by name, and an exception.</summary>
internal sealed class JsonFormatter : ITextFormatter
{
    // Safe outside HTML, and log lines are not HTML.
    private static readonly JsonWriterOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public void Format(LogEvent logEvent, TextWriter output)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, Readable))
        {
            json.WriteStartObject();
            json.WriteString("time", logEvent.Timestamp.ToString("O", CultureInfo.InvariantCulture));
            json.WriteString("level", LevelNames.Of(logEvent.Level));
            json.WriteString("message", PlainText.Render(logEvent));
            foreach ((string name, LogEventPropertyValue value) in logEvent.Properties)
            {
                json.WritePropertyName(JsonNamingPolicy.KebabCaseLower.ConvertName(name));
                Write(json, value);
            }

            if (logEvent.Exception is not null)
            {
                json.WriteString("exception", logEvent.Exception.ToString());
            }

            json.WriteEndObject();
        }

        output.Write(Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length));
        output.Write('\n');
    }

    private static void Write(Utf8JsonWriter json, LogEventPropertyValue value)
    {
        switch (value)
        {
            case ScalarValue { Value: null }:
                json.WriteNullValue();
                break;
            case ScalarValue { Value: bool flag }:
                json.WriteBooleanValue(flag);
                break;
            case ScalarValue { Value: sbyte or byte or short or ushort or int or uint or long } number:
                json.WriteNumberValue(Convert.ToInt64(number.Value, CultureInfo.InvariantCulture));
                break;
            case ScalarValue scalar:
                json.WriteStringValue(Convert.ToString(scalar.Value, CultureInfo.InvariantCulture));
                break;
            default:
                json.WriteStringValue(value.ToString());
                break;
        }
    }
}
