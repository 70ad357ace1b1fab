using System.Collections.Immutable;
using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Actors.Device;

/// <summary>One message on its way through a <see cref="FrontendSession"/>.</summary>
internal sealed class PendingStep
{
    private readonly SessionState _old;
    private readonly GuestMaps _oldMaps;
    private readonly SessionStep _outcome;

    internal PendingStep(SessionState state, GuestMaps maps, VhostUserMessage message)
    {
        _old = state;
        _oldMaps = maps;
        Message = message;
        _outcome = VhostUserSession.Step(state, message);
        Next = _outcome.Next;
    }

    /// <summary>What was sent; disposed, but its header and payload can be read.</summary>
    internal VhostUserMessage Message { get; }

    /// <summary>What the session says to it; its state may be out of date, see <see cref="Next"/>.</summary>
    internal SessionStep Outcome => _outcome;

    /// <summary>The state to go on with, with what workers have reported meanwhile.</summary>
    internal SessionState Next { get; set; }

    internal Reply Reply => _outcome.Reply;

    internal bool Committed { get; set; }

    /// <summary>True when guest memory, the log or the in-flight region changes.</summary>
    internal bool ChangesMaps => _outcome.Effects.Any(IsMapping);

    /// <summary>
    /// True for what stops rings and starts none. The front-end takes them for stopped whatever the answer is, and their memory
    /// for its own again, so nothing on the host's side may keep it from being carried out.
    /// </summary>
    internal bool OnlyStops => StartedRings.IsEmpty && (IsReset || (Next.Features == _old.Features && StopsRings));

    /// <summary>True when the answer waits for the transfer of the device's state.</summary>
    internal bool EndsTransfer => _outcome.Effects.Any(effect => effect is EndTransfer);

    /// <summary>The device's state that the front-end has loaded, where this step takes it over.</summary>
    internal NetDeviceState? Loaded { get; set; }

    /// <summary>The addresses to announce.</summary>
    internal IEnumerable<Announce> Announcements => _outcome.Effects.OfType<Announce>();

    /// <summary>The rings that the message kicks.</summary>
    internal IEnumerable<int> Kicks => _outcome.Effects.OfType<KickRing>().Select(kick => kick.Ring);

    /// <summary>
    /// The rings that this message starts: those that could not run before and now can, and one that is given a kick. Each is a
    /// fresh start also for a ring or a pair that was given up.
    /// </summary>
    internal ImmutableArray<int> StartedRings => [.. Enumerable.Range(0, Next.Rings.Length).Where(IsStarted)];

    /// <summary>Carries out what the message does to memory, log and in-flight region. May block.</summary>
    /// <returns>The maps to go on with: the old ones, or new ones whose references are the caller's.</returns>
    /// <exception cref="GuestMemoryException">Memory, log or in-flight region cannot be used; nothing stays mapped.</exception>
    internal GuestMaps Map()
    {
        // No message has more than one of these.
        return _outcome.Effects.SingleOrDefault(IsMapping) switch
        {
            MapMemory map => _oldMaps with { Memory = GuestMemory.Map(map.Regions, Faults) },
            AddRegion add => _oldMaps with { Memory = _oldMaps.Memory.Add(add.Layout, add.File, Faults) },
            RemoveRegion remove => _oldMaps with { Memory = _oldMaps.Memory.Remove(remove.Layout) },
            MapLog log => _oldMaps with { Log = DirtyLog.Map(log.Size, log.Offset, log.File) },
            MakeInflight make => _oldMaps with { Inflight = InflightRegion.Create(make.Queues, make.QueueSize, make.Packed) },
            MapInflight map => _oldMaps with
            {
                Inflight = InflightRegion.Map(map.Size, map.Offset, map.Queues, map.QueueSize, map.File),
            },
            DropInflight => _oldMaps with { Inflight = null },
            OpenFaults => _oldMaps with
            {
                Faults = Userfault.TryOpen(out string? reason) ?? throw new GuestMemoryException(reason!),
            },
            CloseFaults => EndFaults(),
            _ => _oldMaps,
        };
    }

    /// <summary>Takes back what <see cref="Map"/> gave.</summary>
    internal void Unmap(GuestMaps maps) => maps.ReleaseAllBut(_oldMaps);

    /// <summary>The step was done: closes and releases what the new state has no use for.</summary>
    internal void CloseWhatIsNotIn(SessionState state, GuestMaps maps)
    {
        CloseEffects();
        foreach (OwnedFd fd in _old.FdsNotIn(state))
        {
            fd.Dispose();
        }

        _oldMaps.ReleaseAllBut(maps);
    }

    /// <summary>The step was not done: closes what it brought.</summary>
    internal void CloseWhatWasNotTaken(SessionState state)
    {
        CloseEffects();
        foreach (OwnedFd fd in _outcome.Next.FdsNotIn(state))
        {
            fd.Dispose();
        }
    }

    /// <summary>Where pages of what is mapped now are asked for, while they are on their way.</summary>
    private Userfault? Faults => _old.IsPostcopy ? _oldMaps.Faults : null;

    /// <summary>Whoever waits for a page at this moment goes on, so that workers can let go of the old snapshot.</summary>
    private GuestMaps EndFaults()
    {
        _oldMaps.Faults?.Disarm();
        return _oldMaps with
        {
            Memory = _oldMaps.Memory.AwaitsPages ? _oldMaps.Memory.WithAllPages() : _oldMaps.Memory,
            Faults = null,
        };
    }

    private static bool IsMapping(SessionEffect effect) =>
        effect is MapMemory or AddRegion or RemoveRegion or MapLog or MakeInflight or MapInflight or DropInflight
            or OpenFaults or CloseFaults;

    private bool IsStarted(int ring) => Next.PlanOf(ring) is not null && (IsKickOf(ring) || _old.PlanOf(ring) is null);

    private bool IsKickOf(int ring) =>
        Message.Code == RequestCode.SetVringKick && VringFd.TryRead(Message.Payload.Span, out VringFd kick) && kick.Index == ring;

    /// <summary>True also where no ring ran: what a front-end resets is as before the negotiation.</summary>
    private bool IsReset => RequestTable.Find(Message.Request)?.Quiet is Quiet.StopsAll;

    private bool StopsRings => Enumerable.Range(0, Next.Rings.Length)
        .Any(ring => _old.PlanOf(ring) is { Enabled: true } && Next.PlanOf(ring) is not { Enabled: true });

    private void CloseEffects()
    {
        foreach (SessionEffect effect in _outcome.Effects)
        {
            effect.Dispose();
        }
    }
}
