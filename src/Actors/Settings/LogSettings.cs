namespace Ringmaster.Actors.Settings;

/// <summary>The least severe line that is logged.</summary>
public enum LogThreshold
{
    /// <summary>Everything, each front-end message included.</summary>
    Debug,

    /// <summary>What an operator wants to know of a healthy back-end.</summary>
    Info,

    /// <summary>What went wrong and was dealt with.</summary>
    Warning,

    /// <summary>What went wrong and was not.</summary>
    Error,

    /// <summary>Nothing.</summary>
    Off,
}

/// <summary>The form of a log line.</summary>
public enum LogFormat
{
    /// <summary>Time, level, message.</summary>
    Text,

    /// <summary>Level by a syslog number in angle brackets, then the message; the journal adds the time.</summary>
    Journal,

    /// <summary>One JSON object a line.</summary>
    Json,
}

/// <summary>What is logged, and how: <c>ringmaster.log { }</c>. Lines go to standard error.</summary>
/// <param name="Level">The least severe line that is logged.</param>
/// <param name="Format">The form of a line.</param>
public sealed record LogSettings(LogThreshold Level, LogFormat Format);
