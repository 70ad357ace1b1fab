using System.Globalization;
using Serilog.Events;
using Serilog.Parsing;

namespace Ringmaster.Host.Logging;

/// <summary>A message with its values as they are: Serilog by itself puts every text in quotes.</summary>
internal static class PlainText
{
    internal static string Render(LogEvent logEvent)
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        foreach (MessageTemplateToken token in logEvent.MessageTemplate.Tokens)
        {
            if (token is PropertyToken property
                && logEvent.Properties.GetValueOrDefault(property.PropertyName) is ScalarValue { Value: string value })
            {
                text.Write(value);
            }
            else
            {
                token.Render(logEvent.Properties, text, CultureInfo.InvariantCulture);
            }
        }

        return text.ToString();
    }
}
