using Ringmaster.Native.Memory;

namespace Ringmaster.Actors.Device;

/// <summary>
/// What is mapped of a guest. All but the last are reference-counted; whoever holds these holds one reference to each.
/// </summary>
/// <param name="Memory">Guest memory.</param>
/// <param name="Log">Where writes to it are marked while the guest migrates, or null.</param>
/// <param name="Inflight">Where rings note which chains they return, or null.</param>
/// <param name="Faults">By what pages are asked for that post-copy is still to bring, or null. The session's.</param>
internal readonly record struct GuestMaps(
    GuestMemory Memory, DirtyLog? Log, InflightRegion? Inflight = null, Userfault? Faults = null)
{
    internal static GuestMaps None { get; } = new(GuestMemory.Empty, null, null);

    /// <summary>Gives back the references to what is not in others.</summary>
    internal void ReleaseAllBut(GuestMaps others)
    {
        if (!ReferenceEquals(Memory, others.Memory))
        {
            Memory.Release();
        }

        if (!ReferenceEquals(Log, others.Log))
        {
            Log?.Release();
        }

        if (!ReferenceEquals(Inflight, others.Inflight))
        {
            Inflight?.Release();
        }

        if (!ReferenceEquals(Faults, others.Faults))
        {
            Faults?.Dispose();
        }
    }
}
