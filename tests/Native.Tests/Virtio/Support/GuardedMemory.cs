using System.Runtime.InteropServices;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Memory;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>
/// Guest memory of which every region has a page without any access right before and behind it, so that a ring that
/// touches what is not the guest's ends the test run at once.
/// </summary>
internal sealed unsafe partial class GuardedMemory : IDisposable
{
    /// <summary>The front-end's virtual address of guest address 0.</summary>
    internal const ulong UserBase = 0x7000_0000_0000;

    internal const ulong Page = 4096;
    private const int Private = 2;
    private const int Anonymous = 0x20;
    private const int FixedNoReplace = 0x10_0000;
    private const int Attempts = 200;

    private readonly List<(nint Address, ulong Length)> _guards = [];
    private readonly List<(ulong Guest, ulong Size)> _regions = [];

    /// <summary>Maps regions, whole pages each, at guest addresses.</summary>
    internal GuardedMemory(params (ulong Guest, ulong Size)[] regions)
    {
        foreach ((ulong guest, ulong size) in regions)
        {
            AddGuarded(new MemoryRegionLayout(guest, size, UserBase + guest, 0));
            _regions.Add((guest, size));
        }
    }

    internal GuestMemory Table { get; private set; } = GuestMemory.Empty;

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
        _regions.Exists(region => host >= At(region.Guest) && (ulong)(host - At(region.Guest)) <= region.Size
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

    public void Dispose()
    {
        Table.Release();
        foreach ((nint address, ulong length) in _guards)
        {
            MemoryCalls.Unmap((byte*)address, length).OrThrow("munmap");
        }
    }

    private void AddGuarded(MemoryRegionLayout layout)
    {
        using var file = new SharedFile(layout.Size);
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            GuestMemory before = Table;
            GuestMemory grown = before.Regions.Count == 0 ? GuestMemory.Map([(layout, file.Fd)]) : before.Add(layout, file.Fd);
            Assert.True(grown.TryTranslate(layout.GuestAddress, 1, out byte* host, out _));
            if (TryGuard(host - Page) & TryGuard(host + layout.Size))
            {
                Table = grown;
                before.Release();
                return;
            }

            // Something else is mapped next to it. What is reserved in its place moves the next attempt elsewhere.
            grown.Release();
            Reserve(host, layout.Size);
        }

        throw new InvalidOperationException("No room was found for a region between two guard pages.");
    }

    /// <summary>Puts a guard page at an address; true when there is one, also an earlier one.</summary>
    private bool TryGuard(byte* address)
    {
        if (_guards.Exists(guard => (nint)address >= guard.Address && (nint)address < guard.Address + (nint)guard.Length))
        {
            return true;
        }

        return Reserve(address, Page);
    }

    /// <summary>Takes a range that nobody may touch; false when something is mapped there.</summary>
    private bool Reserve(byte* address, ulong length)
    {
        nint mapped = mmap(address, (nuint)length, 0, Private | Anonymous | FixedNoReplace, -1, 0);
        if (mapped == -1)
        {
            return false;
        }

        _guards.Add((mapped, length));
        return mapped == (nint)address;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint mmap(void* address, nuint length, int protection, int flags, int fd, long offset);
}
