using System.Numerics;
using System.Runtime.InteropServices;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>A log of live migration for guest-physical memory from address 0 on, in a file of its own.</summary>
internal sealed class TestLog : IDisposable
{
    private readonly GuestRam _memory;

    /// <summary>A log for all of a guest's memory.</summary>
    internal TestLog(GuestRam ram)
        : this(ram.Regions[^1].GuestAddress + ram.Regions[^1].Size)
    {
    }

    /// <summary>A log for all addresses below one.</summary>
    internal TestLog(ulong end)
    {
        Size = end / DirtyPages.PageSize / 8;
        FileSize = (Size + DirtyPages.PageSize - 1) / DirtyPages.PageSize * DirtyPages.PageSize;
        _memory = new GuestRam(new GuestRamOptions { Pieces = [new RamPiece(0, FileSize)] });
    }

    internal ulong Size { get; }

    internal ulong FileSize { get; }

    internal OwnedFd File => _memory.FileOf(0);

    /// <summary>Switches LOG_ALL and the logs of the rings, as a migration does: while they run.</summary>
    internal static void Switch(VirtioNetDriver driver, bool on)
    {
        VirtioFeatures features = driver.Features & ~VirtioFeatures.LogAll;
        driver.Client.SetFeatures(on ? features | VirtioFeatures.LogAll : features);
        foreach (NetQueuePair pair in driver.Pairs)
        {
            foreach ((int number, DriverRing ring) in new[] { (2 * pair.Index, pair.Rx), ((2 * pair.Index) + 1, pair.Tx) })
            {
                driver.Client.SetVringAddr(number, driver.UserAddresses(ring), on ? ring.Addresses.Device : null);
            }
        }

        driver.Client.GetFeatures();
    }

    /// <summary>Reads which pages are marked and clears the marks, each word at once: frames may be on their way.</summary>
    internal IReadOnlyList<ulong> TakeAll()
    {
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(_memory.Bytes(0, (int)FileSize));
        List<ulong> pages = [];
        for (int i = 0; i < words.Length; i++)
        {
            for (ulong marks = Interlocked.Exchange(ref words[i], 0); marks != 0; marks &= marks - 1)
            {
                pages.Add((ulong)((i * 64) + BitOperations.TrailingZeroCount(marks)));
            }
        }

        return pages;
    }

    public void Dispose() => _memory.Dispose();
}
