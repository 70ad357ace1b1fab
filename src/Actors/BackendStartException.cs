using System.Collections.Immutable;
using Ringmaster.Actors.Backend;

namespace Ringmaster.Actors;

/// <summary>The back-end could not be started; each device that failed is named with the reason.</summary>
public sealed class BackendStartException : Exception
{
    /// <summary>Takes the devices that failed.</summary>
    public BackendStartException(ImmutableArray<DeviceOutcome> failed)
        : base(string.Join(Environment.NewLine, failed.Select(each => $"device {each.Name}: {each.Error}"))) => Failed = failed;

    /// <summary>Never empty.</summary>
    public ImmutableArray<DeviceOutcome> Failed { get; }
}
