using Ringmaster.Native.Linux;

namespace Ringmaster.Actors.Protocol;

/// <summary>A transfer of what the device holds beside its rings, as SET_DEVICE_STATE_FD asked for it.</summary>
/// <param name="Saves">The back-end writes; else it reads.</param>
/// <param name="Channel">Where to; owned by the session's state, and closed earlier by whoever is done with the transfer.</param>
public sealed record DeviceStateTransfer(bool Saves, OwnedFd Channel);
