using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Device;

/// <summary>
/// A request by the back-end. Compared by value: one that waits already is not queued again, for it says the same.
/// </summary>
/// <param name="Code">The request.</param>
/// <param name="Ring">The ring that it is about, or null.</param>
internal readonly record struct BackendRequest(BackendRequestCode Code, int? Ring = null)
{
    /// <summary>The configuration space is not what it was.</summary>
    internal static BackendRequest ConfigChange { get; } = new(BackendRequestCode.ConfigChangeMsg);

    /// <summary>What goes over the wire after the header.</summary>
    internal byte[] ToPayload() => Ring is { } ring ? new VringState((uint)ring, 0).ToBytes() : [];

    /// <summary>For example <c>ConfigChangeMsg</c>, <c>VringCall of ring 2</c>.</summary>
    public override string ToString() => Ring is { } ring ? $"{Code} of ring {ring}" : $"{Code}";
}
