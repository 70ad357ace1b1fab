using Akka.Configuration;
using Ringmaster.Actors.Settings;
using Serilog;
using Serilog.Events;
using Serilog.Formatting;

namespace Ringmaster.Host.Logging;

/// <summary>Makes the process's log, and has Akka write to it.</summary>
internal static class LogSetup
{
    /// <summary>Opens <see cref="Log.Logger"/>. Everything goes to standard error: standard output is for answers.</summary>
    internal static void Open(LogSettings settings)
    {
        var configuration = new LoggerConfiguration();
        if (settings.Level != LogThreshold.Off)
        {
            configuration.MinimumLevel.Is(LevelOf(settings.Level));
            configuration.WriteTo.Console(FormatterOf(settings.Format), standardErrorFromLevel: LogEventLevel.Verbose);
        }

        Log.Logger = configuration.CreateLogger();
    }

    /// <summary>Has an actor system's lines go the same way.</summary>
    internal static Config Akka() => ConfigurationFactory.ParseString(
        $"akka.loggers = [\"{typeof(SerilogLogger).FullName}, {typeof(SerilogLogger).Assembly.GetName().Name}\"]");

    private static LogEventLevel LevelOf(LogThreshold threshold) => threshold switch
    {
        LogThreshold.Debug => LogEventLevel.Debug,
        LogThreshold.Info => LogEventLevel.Information,
        LogThreshold.Warning => LogEventLevel.Warning,
        _ => LogEventLevel.Error,
    };

    private static ITextFormatter FormatterOf(LogFormat format) => format switch
    {
        LogFormat.Journal => new JournalFormatter(),
        LogFormat.Json => new JsonFormatter(),
        _ => new TextFormatter(),
    };
}
