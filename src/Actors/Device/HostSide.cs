using Akka.Actor;
using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Device;

/// <summary>
/// The host's side of a device as its supervisor handles it: everything here that may block runs away from the actor, one piece
/// after the other, and its outcome comes back as a message.
/// </summary>
internal sealed class HostSide
{
    private readonly DeviceSettings _settings;
    private readonly DeviceParts _parts;
    private readonly IActorRef _self;
    private readonly SerialWork _work = new();
    private IDeviceKind? _kind;

    /// <summary>What is open, whether or not the actor has heard of it; only pieces of work touch it.</summary>
    private Opened? _opened;

    /// <summary>
    /// What was prepared, until the actor takes it: it may be gone by then. Set by a piece of work, and by the actor once that
    /// has answered.
    /// </summary>
    private Prepared? _prepared;

    /// <summary>What was last asked for; null when it is not known what the host's side is like.</summary>
    private DeviceDemand? _asked;
    private bool _looking;
    private bool _lookAgain;

    internal HostSide(DeviceSettings settings, DeviceParts parts, IActorRef self)
    {
        _settings = settings;
        _parts = parts;
        _self = self;
    }

    /// <summary>The part that is particular to the kind of device. Only when open.</summary>
    internal IDeviceKind Kind => _kind ?? throw new InvalidOperationException($"device {_settings.Name} is not open");

    internal bool IsOpen => _kind is not null;

    /// <summary>Opens it and the door. Answer: <see cref="Opened"/> or <see cref="OpenFailed"/>.</summary>
    internal void Open()
    {
        _work.Run(() => _opened = OpenAll(_settings, _parts, _self))
            .PipeTo(_self, failure: e => new OpenFailed(e.GetBaseException()));
    }

    /// <summary>Takes over what was opened.</summary>
    internal void Adopt(Opened opened)
    {
        _kind = opened.Kind;
        _asked = DeviceDemand.None;
    }

    /// <summary>True when the host's side is not like that, or not known to be.</summary>
    internal bool DiffersFrom(DeviceDemand demand) => !demand.Equals(_asked);

    /// <summary>
    /// Does what a message asks for. Answer: <see cref="Prepared"/>, to be taken by <see cref="Take"/>, or
    /// <see cref="PrepareFailed"/>.
    /// </summary>
    /// <param name="step">What it says of memory, log and in-flight region.</param>
    /// <param name="demand">What the host's side is to be like before the message is carried out; null = as it is.</param>
    internal void Prepare(PendingStep step, DeviceDemand? demand)
    {
        IDeviceKind kind = Kind;
        _asked = demand ?? _asked;
        _work.Run(() => _prepared = new Prepared(step, MapAndApply(step, kind, demand)))
            .PipeTo(_self, failure: e => new PrepareFailed(step, e.GetBaseException()));
    }

    /// <summary>Hands over what was prepared.</summary>
    /// <returns>The maps, whose references are the caller's from here on.</returns>
    internal GuestMaps Take(Prepared prepared)
    {
        _prepared = null;
        return prepared.Maps;
    }

    /// <summary>It is not known any more what the host's side is like: the next demand is applied whole.</summary>
    internal void Doubt() => _asked = null;

    /// <summary>Makes it so. Answer: <see cref="HostChanged"/> or <see cref="HostChangeFailed"/>.</summary>
    internal void Change(DeviceDemand demand)
    {
        IDeviceKind kind = Kind;
        _asked = demand;
        _work.Run(() => Apply(kind, demand)).PipeTo(
            _self,
            success: applied => new HostChanged(applied),
            failure: e => new HostChangeFailed(e.GetBaseException()));
    }

    /// <summary>
    /// Asks whether the link is up; more than one question at a time would ask the same. Answer: <see cref="HostLink"/> or
    /// <see cref="HostLinkUnknown"/>, and then <see cref="LookedAtLink"/> is to be called.
    /// </summary>
    internal void LookAtLink()
    {
        if (_looking || _kind is not { } kind)
        {
            _lookAgain = _looking;
            return;
        }

        _looking = true;
        _work.Run(() => new HostLink(kind.ReadLink())).PipeTo(_self, failure: e => new HostLinkUnknown(e.GetBaseException()));
    }

    /// <summary>The answer has come. What was noticed meanwhile may be later than it.</summary>
    internal void LookedAtLink()
    {
        _looking = false;
        if (_lookAgain)
        {
            _lookAgain = false;
            LookAtLink();
        }
    }

    /// <summary>Changes the MTU that the device has unless a front-end says another. Answer: <see cref="MtuChanged"/>.</summary>
    internal void ChangeMtu(int mtu)
    {
        IDeviceKind kind = Kind;
        _work.Run(() => ChangeMtu(kind, mtu)).PipeTo(_self, failure: e => new MtuChanged(mtu, e.GetBaseException()));
    }

    /// <summary>Closes everything, after what is under way; also what came of that and nobody has taken over.</summary>
    /// <returns>Done when all is closed.</returns>
    internal Task<HostReleased> Release(FrontendSession? session)
    {
        _kind = null;
        return _work.Run(() => ReleaseAll(session));
    }

    private static Opened OpenAll(DeviceSettings settings, DeviceParts parts, IActorRef self)
    {
        IDeviceKind kind = parts.Kinds(settings);
        try
        {
            DeviceProfile profile = kind.Open();
            kind.WatchLink(parts.Loop, () => self.Tell(HostLinkNoticed.Instance));
            profile = Userfault.Problem is null
                ? profile
                : profile with { ProtocolFeatures = profile.ProtocolFeatures & ~ProtocolFeatures.Pagefault };
            FrontendDoor door = FrontendDoor.Open(settings, parts, answer => self.Tell(answer));
            return new Opened(kind, profile, door);
        }
        catch
        {
            kind.Dispose();
            throw;
        }
    }

    private static GuestMaps MapAndApply(PendingStep step, IDeviceKind kind, DeviceDemand? demand)
    {
        GuestMaps maps = step.Map();
        try
        {
            if (demand is not null)
            {
                kind.Apply(demand);
            }

            return maps;
        }
        catch
        {
            step.Unmap(maps);
            throw;
        }
    }

    private static DeviceDemand Apply(IDeviceKind kind, DeviceDemand demand)
    {
        kind.Apply(demand);
        return demand;
    }

    private static MtuChanged ChangeMtu(IDeviceKind kind, int mtu)
    {
        kind.ChangeMtu(mtu);
        return new MtuChanged(mtu, null);
    }

    private HostReleased ReleaseAll(FrontendSession? session)
    {
        _prepared?.Step.Unmap(_prepared.Maps);
        _prepared = null;
        session?.Dispose();
        _opened?.Door.Dispose();
        _opened?.Kind.Dispose();
        _opened = null;
        return new HostReleased(null);
    }
}

/// <summary>The host's side and the door are open.</summary>
internal sealed record Opened(IDeviceKind Kind, DeviceProfile Profile, FrontendDoor Door);

/// <summary>Something of it could not be opened; nothing stays open.</summary>
internal sealed record OpenFailed(Exception Cause);

/// <summary>Memory, log and the host's side are as a message wants them.</summary>
internal sealed record Prepared(PendingStep Step, GuestMaps Maps);

/// <summary>They could not be made so; what is mapped is as it was.</summary>
internal sealed record PrepareFailed(PendingStep Step, Exception Cause);

/// <summary>The host's side is as it was asked to be.</summary>
internal sealed record HostChanged(DeviceDemand Demand);

/// <summary>The host's side could not be made so.</summary>
internal sealed record HostChangeFailed(Exception Cause);

/// <summary>What has become of the link.</summary>
internal sealed record HostLink(LinkState State);

/// <summary>Whether the link is up could not be found out.</summary>
internal sealed record HostLinkUnknown(Exception Cause);

/// <summary>Something about the host's side has changed that may have to do with the link.</summary>
internal sealed record HostLinkNoticed
{
    internal static readonly HostLinkNoticed Instance = new();

    private HostLinkNoticed()
    {
    }
}

/// <summary>The MTU is as it was to be, or stays as it was for a reason.</summary>
internal sealed record MtuChanged(int Mtu, Exception? Cause);

/// <summary>Everything is closed.</summary>
internal sealed record HostReleased(Exception? Cause);
