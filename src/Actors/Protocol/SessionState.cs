using System.Collections.Immutable;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// Everything that one connection has settled. Immutable; a new connection begins with a new one. It owns the fds in
/// its rings: whoever replaces a state by another closes those of <see cref="FdsNotIn"/>, and all of them at the end.
/// </summary>
public sealed record SessionState
{
    /// <summary>VIRTIO_NET_F_MTU is offered with this value until somebody says another; it is what a new TAP has.</summary>
    public const int DefaultMtu = 1500;

    private const uint BeginningOfPackedRing = 0x8000_8000;

    internal SessionState(DeviceProfile profile)
    {
        Profile = profile;
        Mac = profile.Mac ?? default;
        Mtu = profile.Mtu;
        Rings = [.. Enumerable.Range(0, profile.RingCount).Select(_ => new RingState())];
    }

    /// <summary>What is offered.</summary>
    public DeviceProfile Profile { get; init; }

    /// <summary>The acknowledged device features.</summary>
    public VirtioFeatures Features { get; init; }

    /// <summary>The last SET_FEATURES was refused; FEATURES_OK cannot be set until a better one came.</summary>
    public bool FeaturesRefused { get; init; }

    /// <summary>The acknowledged protocol features.</summary>
    public ProtocolFeatures ProtocolFeatures { get; init; }

    /// <summary>The status that the driver has set. <see cref="ReportedStatus"/> is what it reads.</summary>
    public DeviceStatus Status { get; init; }

    /// <summary>The device cannot go on without a reset; shown by GET_STATUS.</summary>
    public bool NeedsReset { get; init; }

    /// <summary>The card's address in the configuration space: the profile's, or what a legacy driver wrote.</summary>
    public MacAddress Mac { get; init; }

    /// <summary>The MTU: the profile's, or what NET_SET_MTU said; null when nobody said any. Outlives resets.</summary>
    public int? Mtu { get; init; }

    /// <summary>Whether the configuration space says that the link is up.</summary>
    public bool LinkUp { get; init; } = true;

    /// <summary>The memory table as the front-end has it. Outlives resets, for front-ends send only what changes.</summary>
    public ImmutableArray<MemoryRegionLayout> Regions { get; init; } = [];

    /// <summary>How far a post-copy migration to here has come.</summary>
    public PostcopyPhase Postcopy { get; init; }

    /// <summary>Where each region is mapped, for the front-end to know while pages are on their way; told once it is.</summary>
    public IReadOnlyDictionary<MemoryRegionLayout, ulong> MappedAt { get; init; } =
        ImmutableDictionary<MemoryRegionLayout, ulong>.Empty;

    /// <summary>True while pages of memory may still have to come.</summary>
    public bool IsPostcopy => Postcopy is PostcopyPhase.Listening or PostcopyPhase.Mapping;

    /// <summary>How often a region was added beyond the first time; without those that were added once.</summary>
    public ImmutableDictionary<MemoryRegionLayout, long> RepeatedRegions { get; init; } =
        ImmutableDictionary<MemoryRegionLayout, long>.Empty;

    /// <summary>SET_LOG_FD: signalled when something was marked in the log, or null. Outlives resets.</summary>
    public OwnedFd? LogCall { get; init; }

    /// <summary>SET_BACKEND_REQ_FD: where requests by the back-end go, or null. Outlives resets.</summary>
    public OwnedFd? BackendChannel { get; init; }

    /// <summary>There is an in-flight region: GET_INFLIGHT_FD or SET_INFLIGHT_FD came, and no reset since.</summary>
    public bool TracksInflight { get; init; }

    /// <summary>SET_DEVICE_STATE_FD: the transfer of state that CHECK_DEVICE_STATE has yet to end, or null.</summary>
    public DeviceStateTransfer? Transfer { get; init; }

    /// <summary>
    /// The translations given for a device behind an IOMMU (ACCESS_PLATFORM). Gone with a reset and with whatever memory they
    /// may lead to: they are asked for again.
    /// </summary>
    public Iotlb Iotlb { get; init; } = Iotlb.Empty;

    /// <summary>The rings: 2 x pair receives for the guest, 2 x pair + 1 transmits.</summary>
    public ImmutableArray<RingState> Rings { get; init; }

    /// <summary>What GET_STATUS answers.</summary>
    public DeviceStatus ReportedStatus => NeedsReset ? Status | DeviceStatus.NeedsReset : Status;

    /// <summary>Every fd that this state owns.</summary>
    public IEnumerable<OwnedFd> Fds =>
        Rings.SelectMany(ring => ring.Fds).Concat(FdsBesideRings);

    /// <summary>
    /// The one place where readiness is computed: what the ring is to run with, or null when it must not run. A ring runs
    /// when it is started and nothing that <see cref="ObstacleOf"/> names is in the way. Where a new state changes
    /// memory and plans at once, stop rings first, then replace memory, then start rings.
    /// </summary>
    /// <param name="ring">0 to <see cref="DeviceProfile.RingCount"/> - 1.</param>
    public RingPlan? PlanOf(int ring)
    {
        RingState state = Rings[ring];
        if (ObstacleOf(ring) is not null || state.Addresses is not { } addresses || state.Size is not { } size)
        {
            return null;
        }

        return new RingPlan
        {
            Index = ring,
            Size = size,
            DescriptorAddress = addresses.Descriptor,
            DriverAddress = addresses.Available,
            DeviceAddress = addresses.Used,
            Base = BaseOf(ring),
            Features = Features,
            LogUsed = addresses.LogsUsed ? addresses.Log : null,
            Enabled = state.Enabled,
            Kick = state.Kick,
            Call = state.Call,
            Error = state.Error,
        };
    }

    /// <summary>Where a ring is to go on. A packed ring begins with both wrap counters 1 (virtio 1.3 section 2.8.1).</summary>
    /// <param name="ring">0 to <see cref="DeviceProfile.RingCount"/> - 1.</param>
    public uint BaseOf(int ring) =>
        Rings[ring].Base ?? (Features.HasFlag(VirtioFeatures.RingPacked) ? BeginningOfPackedRing : 0);

    /// <summary>Why a ring must not run, for the operator's log; null when it may.</summary>
    /// <param name="ring">0 to <see cref="DeviceProfile.RingCount"/> - 1.</param>
    public string? ObstacleOf(int ring) => Rings[ring] switch
    {
        { Started: true } when Postcopy == PostcopyPhase.Mapping =>
            "started, but the front-end does not know its memory's faults yet",
        { Started: false } => "not started",
        { Size: null } => "started, but it has no size yet",
        { Addresses: null } => "started, but it has no addresses yet",
        { Size: { } size, Addresses: { } addresses } =>
            RingLayout.Check(size, addresses, Features) ?? RingLayout.CheckMemory(size, addresses, Features, Regions),
    };

    /// <summary>What GET_VRING_BASE answers: where the ring is to go on, or where it stopped before a reset.</summary>
    /// <param name="ring">0 to <see cref="DeviceProfile.RingCount"/> - 1.</param>
    public uint LastBaseOf(int ring) => Rings[ring].Base ?? Rings[ring].StoppedAt ?? BaseOf(ring);

    /// <summary>The state after SET_VRING_BASE.</summary>
    /// <param name="ring">The ring.</param>
    /// <param name="value">In the form of <see cref="RingPlan.Base"/>.</param>
    public SessionState WithRingBase(int ring, uint value) => WithRing(ring, Rings[ring] with { Base = value });

    /// <summary>
    /// The state after a worker has told where a ring stopped. A ring that was reset meanwhile begins anew all the same.
    /// </summary>
    /// <param name="ring">The ring.</param>
    /// <param name="value">In the form of <see cref="RingPlan.Base"/>.</param>
    public SessionState WithRingStopped(int ring, uint value) => WithRing(
        ring,
        Rings[ring].Size is null ? Rings[ring] with { StoppedAt = value } : Rings[ring] with { Base = value });

    /// <summary>The ring is kicked by VRING_KICK: no fd came for it, nor the word that it is to be polled.</summary>
    /// <param name="ring">The ring.</param>
    public bool KicksByMessage(int ring) => Has(ProtocolFeatures.InbandNotifications) && !Rings[ring].KickSaid;

    /// <summary>The driver is called by a request of the back-end: no fd came, nor the word that the driver polls.</summary>
    /// <param name="ring">The ring.</param>
    public bool CallsByMessage(int ring) => Has(ProtocolFeatures.InbandNotifications) && !Rings[ring].CallSaid;

    /// <summary>That the ring is given up is told by a request of the back-end: there is no fd for it.</summary>
    /// <param name="ring">The ring.</param>
    public bool ErrorsByMessage(int ring) => Has(ProtocolFeatures.InbandNotifications) && Rings[ring].Error is null;

    /// <summary>The state after the settings said another MTU. The last word counts, whoever has it.</summary>
    /// <param name="mtu">The MTU.</param>
    public SessionState WithConfiguredMtu(int mtu) => this with { Profile = Profile with { Mtu = mtu }, Mtu = mtu };

    /// <summary>
    /// What the front-end may be told of unasked: the configuration space differs from that of <paramref name="before"/> by
    /// more than the front-end wrote itself.
    /// </summary>
    public bool HasOtherConfigThan(SessionState before) => NetRequests.ConfigDiffers(before, this);

    /// <summary>The state of a device that cannot go on until the driver resets it.</summary>
    public SessionState WithNeedsReset() => this with { NeedsReset = true };

    /// <summary>
    /// The fds of this state that <paramref name="other"/> does not own: to be closed when it takes this one's place.
    /// </summary>
    public IEnumerable<OwnedFd> FdsNotIn(SessionState other) =>
        Rings.Where((ring, index) => !ReferenceEquals(ring, other.Rings[index]))
            .SelectMany(ring => ring.Fds)
            .Concat(FdsBesideRings)
            .Where(fd => !other.Owns(fd));

    private IEnumerable<OwnedFd> FdsBesideRings => new[] { LogCall, BackendChannel, Transfer?.Channel }.OfType<OwnedFd>();

    private bool Owns(OwnedFd fd) => Rings.Any(ring => ring.Owns(fd)) || FdsBesideRings.Contains(fd);

    /// <summary>The protocol features are all acknowledged.</summary>
    internal bool Has(ProtocolFeatures features) => (ProtocolFeatures & features) == features;

    /// <summary>What holds for a ring of which SET_VRING_ENABLE has said nothing.</summary>
    internal bool RingsStartEnabled => !Features.HasFlag(VirtioFeatures.ProtocolFeatures);

    /// <summary>The same state with another ring in the place of one.</summary>
    internal SessionState WithRing(int ring, RingState state) => this with { Rings = Rings.SetItem(ring, state) };
}
