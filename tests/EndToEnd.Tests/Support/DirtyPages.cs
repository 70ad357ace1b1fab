using Ringmaster.Native.Driver;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>Which pages a device has written to, by looking at their bytes. Pages are the driver's, by number.</summary>
internal static class DirtyPages
{
    internal const int PageSize = 4096;
    private const byte Untouched = 0xee;

    /// <summary>The pages of a range.</summary>
    internal static IEnumerable<ulong> Of(ulong address, int length)
    {
        for (ulong page = address / PageSize; page <= (address + (ulong)length - 1) / PageSize; page++)
        {
            yield return page;
        }
    }

    /// <summary>Fills the receive buffers, so that <see cref="WrittenByDevice"/> can tell what was written to.</summary>
    internal static void Prepare(VirtioNetDriver driver, NetQueuePair pair) =>
        driver.Ram.Bytes(pair.ReceiveBuffers, pair.ReceiveBufferBytes).Fill(Untouched);

    /// <summary>
    /// The pages that the device has written to since <see cref="Prepare"/>, when each ring has gone round meanwhile: what has
    /// changed of the receive buffers, and its parts of both rings.
    /// </summary>
    internal static HashSet<ulong> WrittenByDevice(VirtioNetDriver driver, NetQueuePair pair)
    {
        HashSet<ulong> pages =
        [
            .. Of(pair.ReceiveBuffers, pair.ReceiveBufferBytes)
                .Where(page => driver.Ram.Bytes(page * PageSize, PageSize).ContainsAnyExcept(Untouched)),
        ];
        bool packed = driver.Features.HasFlag(VirtioFeatures.RingPacked);
        foreach (DriverRing ring in new[] { pair.Rx, pair.Tx })
        {
            pages.UnionWith(Of(ring.Addresses.Device, packed ? 4 : 4 + (8 * ring.Size)));
            pages.UnionWith(packed ? Of(ring.Addresses.Descriptors, 16 * ring.Size) : []);
        }

        return pages;
    }
}
