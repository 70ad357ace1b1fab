using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// What the front-end has said about one ring. Whether the ring runs follows from this and from the session, and only
/// <see cref="SessionState.PlanOf"/> says so. The fds belong to the state that holds them.
/// </summary>
public sealed record RingState
{
    /// <summary>SET_VRING_NUM: descriptors, or null when never said.</summary>
    public int? Size { get; init; }

    /// <summary>
    /// The size was said since the ring last stopped. Before that it is the size of an earlier run, which says nothing
    /// about addresses that come now.
    /// </summary>
    public bool SizedSinceStop { get; init; }

    /// <summary>SET_VRING_ADDR, or null when never said.</summary>
    public VringAddresses? Addresses { get; init; }

    /// <summary>
    /// Where to go on, in the form of <see cref="Native.Worker.RingPlan.Base"/>: SET_VRING_BASE or a worker's report; null when
    /// there was neither, so that the ring begins.
    /// </summary>
    public uint? Base { get; init; }

    /// <summary>
    /// Where its worker left it, also after a reset: QEMU up to 7.2 sends SET_STATUS 0 before it asks by GET_VRING_BASE where the
    /// rings of the last pair stopped, and takes the answer along to another machine.
    /// </summary>
    public uint? StoppedAt { get; init; }

    /// <summary>The driver's kicks; null = the ring is polled, or stopped.</summary>
    public OwnedFd? Kick { get; init; }

    /// <summary>Calls to the driver; null = the driver polls. Outlives GET_VRING_BASE and resets.</summary>
    public OwnedFd? Call { get; init; }

    /// <summary>Signalled when the ring is given up. Outlives GET_VRING_BASE and resets.</summary>
    public OwnedFd? Error { get; init; }

    /// <summary>SET_VRING_KICK came since the ring last stopped, with an fd or with the word that there is none.</summary>
    public bool KickSaid { get; init; }

    /// <summary>SET_VRING_CALL came, with an fd or with the word that there is none.</summary>
    public bool CallSaid { get; init; }

    /// <summary>SET_VRING_KICK (or VRING_KICK) came, and neither GET_VRING_BASE nor a reset since.</summary>
    public bool Started { get; init; }

    /// <summary>The last SET_VRING_ENABLE, or null when there was none.</summary>
    public bool? EnableRequest { get; init; }

    /// <summary>
    /// What holds without SET_VRING_ENABLE: true where VHOST_USER_F_PROTOCOL_FEATURES is not acknowledged. Fixed while
    /// the ring runs, so that no SET_FEATURES switches a running ring on or off.
    /// </summary>
    public bool EnabledByDefault { get; init; } = true;

    /// <summary>False: when it runs, transmit is drained and discarded and receive gets nothing.</summary>
    public bool Enabled => EnableRequest ?? EnabledByDefault;

    /// <summary>The fds that this ring holds.</summary>
    internal IEnumerable<OwnedFd> Fds => new[] { Kick, Call, Error }.OfType<OwnedFd>();

    /// <summary>The fd is one of <see cref="Fds"/>.</summary>
    internal bool Owns(OwnedFd fd) => ReferenceEquals(fd, Kick) || ReferenceEquals(fd, Call) || ReferenceEquals(fd, Error);

    /// <summary>The ring after GET_VRING_BASE: configured as before, stopped, without a kick fd.</summary>
    internal RingState Stop(bool enabledByDefault) =>
        this with
        {
            Started = false,
            Kick = null,
            KickSaid = false,
            SizedSinceStop = false,
            EnabledByDefault = enabledByDefault,
        };

    /// <summary>The ring after a reset: as at the beginning, but for the fds by which the front-end listens.</summary>
    internal RingState Reset() => new() { Call = Call, CallSaid = CallSaid, Error = Error, StoppedAt = Base };
}
