using Serilog.Events;

namespace Ringmaster.Host.Logging;

/// <summary>The levels as <c>ringmaster.log.level</c> calls them.</summary>
internal static class LevelNames
{
    internal static string Of(LogEventLevel level) => level switch
    {
        LogEventLevel.Information => "info",
        LogEventLevel.Warning => "warning",
        LogEventLevel.Error or LogEventLevel.Fatal => "error",
        _ => "debug",
    };
}
