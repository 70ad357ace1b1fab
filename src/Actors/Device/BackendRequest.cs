using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Device;

/// <summary>
/// A request by the back-end. Compared by value: one that waits already is not queued again, for it says the same.
/// </summary>
/// <param name="Code">The request.</param>
/// <param name="Ring">The ring that it is about, or null.</param>
/// <param name="Missing">The translation that is asked for, or null.</param>
internal readonly record struct BackendRequest(BackendRequestCode Code, int? Ring = null, IotlbMiss? Missing = null)
{
    /// <summary>The configuration space is not what it was.</summary>
    internal static BackendRequest ConfigChange { get; } = new(BackendRequestCode.ConfigChangeMsg);

    /// <summary>What goes over the wire after the header.</summary>
    internal byte[] ToPayload() => this switch
    {
        { Ring: { } ring } => new VringState((uint)ring, 0).ToBytes(),
        { Missing: { } missing } => new IotlbPayload(missing.Iova, 0, 0, missing.Access, IotlbType.Miss).ToBytes(),
        _ => [],
    };

    /// <summary>For example <c>ConfigChangeMsg</c>, <c>VringCall of ring 2</c>.</summary>
    public override string ToString() => this switch
    {
        { Ring: { } ring } => $"{Code} of ring {ring}",
        { Missing: { } missing } => $"{Code} for {missing.Access} at 0x{missing.Iova:x}",
        _ => $"{Code}",
    };
}
