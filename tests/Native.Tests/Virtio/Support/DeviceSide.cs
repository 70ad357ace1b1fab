using Ringmaster.Native.Memory;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>The ring under test behind virtual calls, so that one test can run on both formats.</summary>
internal abstract class DeviceSide : IDisposable
{
    internal VectorSpace Space { get; } = new(2048);

    internal abstract uint Base { get; }

    internal abstract bool HasWork { get; }

    /// <summary>Attaches a ring of the plan's format, which must succeed.</summary>
    internal static DeviceSide Attach(RingPlan plan, GuestView view)
    {
        Assert.Null(TryAttach(plan, view, out DeviceSide? device));
        return device!;
    }

    /// <summary>Attaches a ring of the plan's format.</summary>
    internal static string? TryAttach(RingPlan plan, GuestView view, out DeviceSide? device) =>
        plan.Features.HasFlag(VirtioFeatures.RingPacked)
            ? DeviceSide<PackedVirtqueue>.TryAttach(plan, view, out device)
            : DeviceSide<SplitVirtqueue>.TryAttach(plan, view, out device);

    internal abstract string? TryReattach(RingPlan plan, GuestView view);

    internal abstract PopStatus TryPop(bool deviceWrites, out Chain chain);

    internal abstract void Prefetch(int chains, uint longest);

    internal abstract void Rewind(int slots);

    internal abstract void Use(in Chain chain, uint written);

    internal abstract void UseUnwritten(ReadOnlySpan<Chain> chains);

    internal abstract void Publish();

    internal abstract bool MustCall();

    internal abstract void SuppressKicks();

    internal abstract bool RequestKicks(int ahead);

    /// <summary>Pops one chain that must be legal.</summary>
    internal Chain Pop(bool deviceWrites = false)
    {
        Assert.Equal(PopStatus.Popped, TryPop(deviceWrites, out Chain chain));
        return chain;
    }

    /// <summary>Returns one chain on its own.</summary>
    internal void Return(in Chain chain, uint written = 0)
    {
        Use(in chain, written);
        Publish();
    }

    public void Dispose() => Space.Dispose();
}

/// <summary>The same for one format.</summary>
internal sealed class DeviceSide<TRing> : DeviceSide
    where TRing : struct, IVirtqueue<TRing>
{
    private TRing _ring;

    private DeviceSide(TRing ring) => _ring = ring;

    internal override uint Base => _ring.Base;

    internal override bool HasWork => _ring.HasWork;

    internal static new string? TryAttach(RingPlan plan, GuestView view, out DeviceSide? device)
    {
        string? problem = TRing.TryAttach(plan, view, out TRing ring);
        device = problem is null ? new DeviceSide<TRing>(ring) : null;
        return problem;
    }

    internal override string? TryReattach(RingPlan plan, GuestView view) => _ring.TryReattach(plan, view);

    internal override PopStatus TryPop(bool deviceWrites, out Chain chain) => _ring.TryPop(Space, deviceWrites, out chain);

    internal override void Prefetch(int chains, uint longest) => _ring.Prefetch(chains, longest);

    internal override void Rewind(int slots) => _ring.Rewind(slots);

    internal override void Use(in Chain chain, uint written) => _ring.Use(in chain, written);

    internal override void UseUnwritten(ReadOnlySpan<Chain> chains) => _ring.UseUnwritten(chains);

    internal override void Publish() => _ring.Publish();

    internal override bool MustCall() => _ring.MustCall();

    internal override void SuppressKicks() => _ring.SuppressKicks();

    internal override bool RequestKicks(int ahead) => _ring.RequestKicks(ahead);
}
