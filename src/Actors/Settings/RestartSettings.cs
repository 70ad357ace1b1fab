namespace Ringmaster.Actors.Settings;

/// <summary>How failed workers are replaced: <c>restart { }</c>.</summary>
public sealed record RestartSettings
{
    /// <summary>Restarts of one pair allowed within <see cref="Window"/>; one more and it is marked broken. 0 = none.</summary>
    public required int MaxRestarts { get; init; }

    /// <summary>The window that <see cref="MaxRestarts"/> counts in.</summary>
    public required TimeSpan Window { get; init; }

    /// <summary>The wait before the first restart; it doubles with each further one in the window.</summary>
    public required TimeSpan MinBackoff { get; init; }

    /// <summary>The longest wait before a restart.</summary>
    public required TimeSpan MaxBackoff { get; init; }

    /// <summary>How long a worker may take to answer a command before it counts as failed.</summary>
    public required TimeSpan WorkerTimeout { get; init; }
}
