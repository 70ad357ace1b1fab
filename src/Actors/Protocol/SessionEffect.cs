using System.Collections.Immutable;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tap;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// What has to be done for a step besides what shows as a difference between its two states. The set is closed. An
/// effect owns the files that it carries: dispose it once it was carried out, or was not.
/// </summary>
public abstract record SessionEffect : IDisposable
{
    private protected SessionEffect()
    {
    }

    /// <summary>Closes the files that the effect carries.</summary>
    public virtual void Dispose() => GC.SuppressFinalize(this);
}

/// <summary>Replace all of guest memory.</summary>
/// <param name="Regions">The regions, each with the file that holds it.</param>
public sealed record MapMemory(ImmutableArray<(MemoryRegionLayout Layout, OwnedFd File)> Regions) : SessionEffect
{
    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach ((_, OwnedFd file) in Regions)
        {
            file.Dispose();
        }

        base.Dispose();
    }
}

/// <summary>Add one region to guest memory.</summary>
/// <param name="Layout">The region.</param>
/// <param name="File">The file that holds it.</param>
public sealed record AddRegion(MemoryRegionLayout Layout, OwnedFd File) : SessionEffect
{
    /// <inheritdoc/>
    public override void Dispose()
    {
        File.Dispose();
        base.Dispose();
    }
}

/// <summary>Take one region out of guest memory.</summary>
/// <param name="Layout">The region as it was added.</param>
public sealed record RemoveRegion(MemoryRegionLayout Layout) : SessionEffect;

/// <summary>Mark what is written to guest memory in this log from now on, and in no other.</summary>
/// <param name="Size">Bytes of the log.</param>
/// <param name="Offset">Where in the file it begins.</param>
/// <param name="File">The file that holds it.</param>
public sealed record MapLog(ulong Size, ulong Offset, OwnedFd File) : SessionEffect
{
    /// <inheritdoc/>
    public override void Dispose()
    {
        File.Dispose();
        base.Dispose();
    }
}

/// <summary>Make an in-flight region, and note chains there from now on. Its file goes along with the reply.</summary>
/// <param name="Queues">For how many rings.</param>
/// <param name="QueueSize">For how many descriptors of each.</param>
/// <param name="Packed">For packed rings.</param>
public sealed record MakeInflight(int Queues, int QueueSize, bool Packed) : SessionEffect;

/// <summary>Note chains in this in-flight region from now on; rings that start take up what they find there.</summary>
/// <param name="Size">Bytes of it.</param>
/// <param name="Offset">Where in the file it begins.</param>
/// <param name="Queues">For how many rings.</param>
/// <param name="QueueSize">For how many descriptors of each.</param>
/// <param name="File">The file that holds it.</param>
public sealed record MapInflight(ulong Size, ulong Offset, int Queues, int QueueSize, OwnedFd File) : SessionEffect
{
    /// <inheritdoc/>
    public override void Dispose()
    {
        File.Dispose();
        base.Dispose();
    }
}

/// <summary>Let go of the in-flight region: what stands there is of rings that are no more.</summary>
public sealed record DropInflight : SessionEffect;

/// <summary>Open a userfaultfd for the pages that post-copy is going to bring.</summary>
public sealed record OpenFaults : SessionEffect;

/// <summary>All pages have come: nobody waits for one any more.</summary>
public sealed record CloseFaults : SessionEffect;

/// <summary>Tell the network behind the TAP where an address now is (RARP).</summary>
/// <param name="Mac">The guest's address.</param>
public sealed record Announce(MacAddress Mac) : SessionEffect;

/// <summary>Answer when the transfer of the device's state has ended well; the new state has what was loaded.</summary>
public sealed record EndTransfer : SessionEffect;

/// <summary>Wake the worker of a ring that is kicked by messages.</summary>
/// <param name="Ring">The ring.</param>
public sealed record KickRing(int Ring) : SessionEffect;
