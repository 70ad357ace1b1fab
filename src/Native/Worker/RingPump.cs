using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Worker;

/// <summary>
/// Moves frames between one ring and the TAP, a batch at a time. What the two directions and the two ring formats
/// share; the worker calls it once a batch, so these calls may be virtual. The worker's thread only.
/// </summary>
internal abstract class RingPump : IDisposable
{
    /// <summary>The greatest number of frames in one batch.</summary>
    internal const int MaxBatch = 64;

    /// <summary>Vectors that a batch usually needs.</summary>
    internal const int BatchVectors = MaxBatch * 20;

    /// <summary>A whole frame: 64 KiB less one, an Ethernet header, a VLAN tag; without the virtio header.</summary>
    internal const int MaxFrame = 65535 + 14 + 4;

    private const int ModernHeader = 12;
    private const int LegacyHeader = 10;

    private Doorbell? _call;
    private Doorbell? _logCall;
    private IotlbMiss? _missing;

    private protected RingPump(RingPlan plan, GuestView view, TapIo io, WorkerCounters counters)
    {
        Io = io;
        Counters = counters;
        Enabled = plan.Enabled;
        HeaderSize = HeaderSizeOf(plan.Features);
        _call = BellOf(plan.Call);
        _logCall = BellOf(LogCallOf(plan, view));
    }

    /// <summary>Why the ring can go no further, or null. Set at most once.</summary>
    internal string? Broken { get; private protected set; }

    /// <summary>The next chain waits for a translation; ends with the next <see cref="Update"/>.</summary>
    internal bool Stalled { get; private set; }

    /// <summary>Where the ring stands, in the form of <see cref="RingPlan.Base"/>.</summary>
    internal abstract uint Base { get; }

    private protected TapIo Io { get; }

    private protected WorkerCounters Counters { get; }

    private protected bool Enabled { get; private set; }

    /// <summary>Bytes of the virtio-net header before each frame: 12, or 10 for a legacy driver without MRG_RXBUF.</summary>
    private protected int HeaderSize { get; private set; }

    /// <summary>The header's size under some features (virtio 1.3 section 5.1.6); the TAP must be set to the same.</summary>
    internal static int HeaderSizeOf(VirtioFeatures features) =>
        (features & (VirtioFeatures.Version1 | VirtioFeatures.MrgRxbuf)) != 0 ? ModernHeader : LegacyHeader;

    /// <summary>Moves one batch. Returns true when anything was done, so that it is worth coming back at once.</summary>
    internal abstract bool Run();

    /// <summary>Before the worker sleeps: asks for the kicks that it needs. Returns true when there is work after all.</summary>
    internal abstract bool PrepareSleep();

    /// <summary>How many milliseconds the worker may sleep at most; -1 = until something happens.</summary>
    internal virtual int SleepLimit => -1;

    /// <summary>After the worker woke: tells the driver that kicks are not needed while it is busy.</summary>
    internal abstract void Awake();

    /// <summary>
    /// Calls the driver of a ring that was just taken up: whoever had it before may have ended between returning chains and
    /// calling, and where nothing is available any more no batch would ever make up for it. A driver bears a call too many.
    /// Not counted, for it is not about any batch.
    /// </summary>
    internal void CallForPredecessor() => _call?.Ring();

    /// <summary>Takes over a changed plan, memory table or log. On failure <see cref="Broken"/> says why.</summary>
    internal void Update(RingPlan plan, GuestView view)
    {
        _call?.Dispose();
        _call = BellOf(plan.Call);
        _logCall?.Dispose();
        _logCall = BellOf(LogCallOf(plan, view));
        Enabled = plan.Enabled;
        HeaderSize = HeaderSizeOf(plan.Features);
        Stalled = false;
        _missing = null;
        Broken ??= Reattach(plan, view);
    }

    /// <summary>Gives the translation that is lacking, once.</summary>
    internal IotlbMiss? TakeMissing()
    {
        IotlbMiss? missing = _missing;
        _missing = null;
        return missing;
    }

    /// <summary>After a batch: tells whoever reads the log that there is something new in it (SET_LOG_FD).</summary>
    internal void CallLog() => _logCall?.Ring();

    /// <summary>Lets a thread go on that waits to call (see <see cref="Doorbell"/>). Any thread.</summary>
    internal void Free()
    {
        _call?.Free();
        _logCall?.Free();
    }

    public virtual void Dispose()
    {
        _call?.Dispose();
        _logCall?.Dispose();
    }

    private static Doorbell? BellOf(OwnedFd? fd) => fd is null ? null : new Doorbell(fd);

    private static OwnedFd? LogCallOf(RingPlan plan, GuestView view)
    {
        bool logs = view.Log is not null && (plan.LogUsed is not null || plan.Features.HasFlag(VirtioFeatures.LogAll));
        return logs ? view.LogCall : null;
    }

    /// <summary>The chain that is next must wait.</summary>
    private protected void Stall(IotlbMiss missing)
    {
        Stalled = true;
        _missing = missing;
    }

    private protected abstract string? Reattach(RingPlan plan, GuestView view);

    /// <summary>Calls the driver. A call fd that is full is signalled already; one that fails costs only the call.</summary>
    private protected void Call()
    {
        if (_call is null)
        {
            return;
        }

        IoResult result = _call.Ring();
        Counters.Add(result.Ok || result.WouldBlock ? WorkerCounter.Calls : WorkerCounter.CallErrors, 1);
    }
}
