namespace Ringmaster.Actors.Settings;

/// <summary>How client mode tries to reach the front-end: <c>connect { }</c>.</summary>
public sealed record ConnectSettings
{
    /// <summary>The wait after an attempt that failed or a front-end that went; it doubles with each further attempt.</summary>
    public required TimeSpan MinBackoff { get; init; }

    /// <summary>The longest wait between two attempts.</summary>
    public required TimeSpan MaxBackoff { get; init; }
}
