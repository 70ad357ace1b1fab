using System.Collections.Immutable;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Settings;

/// <summary>The threads of a card: <c>worker { }</c>.</summary>
public sealed record WorkerSettings
{
    /// <summary>CPUs that the pairs take in turn; empty = not pinned (<c>auto</c>).</summary>
    public ImmutableArray<int> Cpus { get; init; } = [];

    /// <summary>The engine that moves frames to and from the TAP.</summary>
    public required IoEngine Io { get; init; }

    /// <summary>How long a worker polls before it sleeps; zero = not at all.</summary>
    public required TimeSpan BusyPoll { get; init; }

    /// <summary>The CPU of one pair, or null for no pinning.</summary>
    public int? CpuOf(int pair) => Cpus.IsEmpty ? null : Cpus[pair % Cpus.Length];
}
