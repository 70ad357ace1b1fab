using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Memory;

/// <summary>A translation that is needed and not there.</summary>
/// <param name="Iova">The address.</param>
/// <param name="Access">What is to be done there.</param>
public readonly record struct IotlbMiss(ulong Iova, IotlbAccess Access);
