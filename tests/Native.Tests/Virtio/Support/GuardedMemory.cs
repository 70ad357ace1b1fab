using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Memory;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>
/// Guest memory in regions of the test's choice. Each has a guard page before and behind it, as all of them have, so that a
/// ring that touches what is not the guest's ends the test run at once.
/// </summary>
internal sealed unsafe class GuardedMemory : IDisposable
{
    /// <summary>The front-end's virtual address of guest address 0.</summary>
    internal const ulong UserBase = 0x7000_0000_0000;

    internal const ulong Page = 4096;

    private readonly (ulong Guest, ulong Size)[] _regions;

    /// <summary>Maps regions, whole pages each, at guest addresses.</summary>
    internal GuardedMemory(params (ulong Guest, ulong Size)[] regions)
    {
        SharedFile[] files = Array.ConvertAll(regions, region => new SharedFile(region.Size));
        Table = GuestMemory.Map([.. regions.Zip(
            files, (region, file) => (new MemoryRegionLayout(region.Guest, region.Size, UserBase + region.Guest, 0), file.Fd))]);
        Array.ForEach(files, file => file.Dispose());
        _regions = regions;
    }

    internal GuestMemory Table { get; }

    /// <summary>What rings are attached with.</summary>
    internal GuestView View => new(Table, Log, Inflight: Inflight);

    /// <summary>Where writes are to be marked, if anywhere. Belongs to the test.</summary>
    internal DirtyLog? Log { get; set; }

    /// <summary>Where rings note what they return, if anywhere. Belongs to the test.</summary>
    internal InflightRegion? Inflight { get; set; }

    /// <summary>Where a guest address lies; the bytes from there to the region's end may be touched.</summary>
    internal byte* At(ulong guest)
    {
        Assert.True(Table.TryTranslate(guest, 1, out byte* host, out _), $"the test's own address 0x{guest:x} is not mapped");
        return host;
    }

    /// <summary>A window on memory inside one region.</summary>
    internal Span<byte> Bytes(ulong guest, int length)
    {
        Assert.True(Table.TryTranslate(guest, (ulong)length, out byte* host, out ulong available));
        Assert.Equal((ulong)length, available);
        return new Span<byte>(host, length);
    }

    /// <summary>Writes bytes that may span adjacent regions.</summary>
    internal void Write(ulong guest, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            Assert.True(Table.TryTranslate(guest, (ulong)bytes.Length, out byte* host, out ulong available));
            bytes[..(int)available].CopyTo(new Span<byte>(host, (int)available));
            bytes = bytes[(int)available..];
            guest += available;
        }
    }

    /// <summary>Reads bytes that may span adjacent regions.</summary>
    internal byte[] Read(ulong guest, int length)
    {
        byte[] bytes = new byte[length];
        for (int done = 0; done < length;)
        {
            ulong left = (ulong)(length - done);
            Assert.True(Table.TryTranslate(guest + (ulong)done, left, out byte* host, out ulong available));
            new Span<byte>(host, (int)available).CopyTo(bytes.AsSpan(done));
            done += (int)available;
        }

        return bytes;
    }

    /// <summary>True when the whole range in this process belongs to one region.</summary>
    internal bool Holds(byte* host, ulong length) =>
        Array.Exists(_regions, region => host >= At(region.Guest) && (ulong)(host - At(region.Guest)) <= region.Size
            && length <= region.Size - (ulong)(host - At(region.Guest)));

    /// <summary>The numbers of all pages that are mapped.</summary>
    internal IEnumerable<ulong> Pages()
    {
        foreach ((ulong guest, ulong size) in _regions)
        {
            for (ulong page = guest / Page; page < (guest + size) / Page; page++)
            {
                yield return page;
            }
        }
    }

    public void Dispose() => Table.Release();
}
