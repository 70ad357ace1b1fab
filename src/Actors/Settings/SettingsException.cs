using System.Collections.Immutable;

namespace Ringmaster.Actors.Settings;

/// <summary>One thing that is wrong with the configuration.</summary>
/// <param name="Key">The full HOCON path.</param>
/// <param name="Problem">What was found and what is allowed.</param>
public sealed record SettingsError(string Key, string Problem)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Key}: {Problem}";
}

/// <summary>The configuration cannot be used; carries everything that is wrong with it, not just the first error.</summary>
public sealed class SettingsException : Exception
{
    /// <summary>Takes all the errors.</summary>
    public SettingsException(ImmutableArray<SettingsError> errors)
        : base(string.Join(Environment.NewLine, errors)) => Errors = errors;

    /// <summary>In the order in which they were found; never empty.</summary>
    public ImmutableArray<SettingsError> Errors { get; }
}
