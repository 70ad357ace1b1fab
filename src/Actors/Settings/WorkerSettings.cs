using System.Collections.Immutable;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Settings;

/// <summary>The threads of a card: <c>worker { }</c>.</summary>
public sealed record WorkerSettings
{
    /// <summary>CPUs that the pairs take in turn; empty = <c>auto</c>, chosen by the back-end.</summary>
    public ImmutableArray<int> Cpus { get; init; } = [];

    /// <summary>The engine that moves frames to and from the TAP.</summary>
    public required IoEngine Io { get; init; }

    /// <summary>Whether a worker polls before it sleeps; <c>auto</c> is <see cref="BusyPoll.Auto"/>.</summary>
    public required BusyPoll BusyPoll { get; init; }

    /// <summary>True: frames of one flow are merged on their way to the TAP.</summary>
    public required bool Merge { get; init; }

    /// <summary>The CPU that is configured for one pair, or null for <c>auto</c>.</summary>
    public int? CpuOf(int pair) => Cpus.IsEmpty ? null : Cpus[pair % Cpus.Length];
}
