using Akka.Actor;
using Akka.Dispatch;
using Akka.Event;
using LogEventLevel = Serilog.Events.LogEventLevel;

namespace Ringmaster.Host.Logging;

/// <summary>
/// Akka's logger: an actor that hands each event to Serilog. Named arguments of a message (<c>{Device}</c>) stay
/// properties, which the JSON format shows.
/// </summary>
internal sealed class SerilogLogger : ReceiveActor, IRequiresMessageQueue<ILoggerMessageQueueSemantics>
{
    /// <summary>Akka makes it by its name in <c>akka.loggers</c>.</summary>
    public SerilogLogger()
    {
        Receive<InitializeLogger>(OnInitialize);
        Receive<LogEvent>(OnEvent);
    }

    private static LogEventLevel LevelOf(LogEvent entry) => entry.LogLevel() switch
    {
        LogLevel.DebugLevel => LogEventLevel.Debug,
        // What Akka tells of itself is for those who look for it.
        LogLevel.InfoLevel when IsAkkas(entry.LogClass) => LogEventLevel.Debug,
        LogLevel.InfoLevel => LogEventLevel.Information,
        LogLevel.WarningLevel => LogEventLevel.Warning,
        _ => LogEventLevel.Error,
    };

    private static bool IsAkkas(Type? source) => source?.Namespace?.StartsWith("Akka.", StringComparison.Ordinal) == true;

    private void OnInitialize(InitializeLogger message) => Sender.Tell(new LoggerInitialized());

    private void OnEvent(LogEvent entry)
    {
        Serilog.ILogger logger = Serilog.Log.Logger.ForContext("Source", entry.LogSource);
        if (entry.Message is LogMessage message)
        {
            logger.Write(LevelOf(entry), entry.Cause, message.Format, [.. message.Parameters()]);
        }
        else
        {
            logger.Write(LevelOf(entry), entry.Cause, "{Text:l}", entry.Message);
        }
    }
}
