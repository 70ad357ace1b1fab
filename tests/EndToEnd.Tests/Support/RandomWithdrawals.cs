using Ringmaster.Native.Driver;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>A guest that withdraws translations of its memory and of its rings, again and again, while frames flow.</summary>
internal static class RandomWithdrawals
{
    /// <summary>Lets it do so while something goes on.</summary>
    internal static async Task DuringAsync(VirtioNetDriver driver, DriverIommu iommu, Action action)
    {
        using var stop = new CancellationTokenSource();
        Task withdrawals = Task.Run(() => WithdrawUntil(stop.Token, driver, iommu));
        try
        {
            action();
        }
        finally
        {
            await stop.CancelAsync();
            await withdrawals;
        }
    }

    private static void WithdrawUntil(CancellationToken stop, VirtioNetDriver driver, DriverIommu iommu)
    {
        var random = new Random(20_261_126);
        ulong pages = driver.Ram.Regions[0].Size / DriverIommu.PageSize;
        while (!stop.IsCancellationRequested)
        {
            iommu.Invalidate(
                (ulong)random.NextInt64((long)pages) * DriverIommu.PageSize,
                (ulong)random.Next(1, 65) * DriverIommu.PageSize);
            DriverRing ring = random.Next(2) == 0 ? driver.Pairs[0].Rx : driver.Pairs[0].Tx;
            iommu.Invalidate(ring.Addresses.Device, 1);
        }
    }
}
