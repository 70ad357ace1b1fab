using System.Net.NetworkInformation;
using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>Our own guest behind an IOMMU that gives a translation for each page when it is asked, and withdraws them.</summary>
public sealed class IommuSpec : BackendFixture
{
    private const ProtocolFeatures Needed = ProtocolFeatures.BackendReq;

    [SkippableTheory]
    [InlineData(VirtioFeatures.None)]
    [InlineData(VirtioFeatures.RingPacked)]
    public async Task Every_frame_passes_once_while_translations_come_and_go(VirtioFeatures format)
    {
        using VirtioNetDriver driver = await ConnectAsync(format);
        using PacketSocket host = OpenHost();
        using BackendInbox inbox = driver.Client.OpenBackendChannel();
        using var iommu = new DriverIommu(driver, inbox);
        driver.StartRings();
        FrameExchange.Run(driver, host, 200);
        int before = iommu.Misses;
        Assert.NotEqual(0, before);

        await RandomWithdrawals.DuringAsync(driver, iommu, () => FrameExchange.Run(driver, host, 400));
        Assert.True(iommu.Misses > before);

        iommu.Invalidate(0, 0);
        FrameExchange.Run(driver, host, 50);
    }

    [SkippableFact]
    public async Task A_hostile_translation_is_refused_and_the_card_goes_on()
    {
        using VirtioNetDriver driver = await ConnectAsync(VirtioFeatures.None);
        using PacketSocket host = OpenHost();
        using BackendInbox inbox = driver.Client.OpenBackendChannel();
        using var iommu = new DriverIommu(driver, inbox);
        driver.StartRings();
        FrameExchange.Run(driver, host, 50);

        ulong user = driver.Ram.ToUser(0);
        ulong ring = driver.Pairs[0].Tx.Addresses.Descriptors;
        ulong size = driver.Ram.Regions[0].Size;
        Assert.All(
            new (ulong Iova, ulong Size, ulong User, byte Access)[]
            {
                (ring, 4096, user + size - 4096, 3),
                (1UL << 50, 4096, user + size, 3),
                (1UL << 50, size + 1, user, 3),
                (1UL << 50, 0, user, 3),
                (1UL << 50, 4096, user, 0),
                (1UL << 50, 4096, user, 9),
                (ulong.MaxValue - 10, 4096, user, 3),
                (0, ulong.MaxValue, 0, 3),
            },
            bad => Assert.NotEqual(
                0UL, driver.Client.TrySendIotlb(IotlbType.Update, bad.Iova, bad.Size, bad.User, (IotlbAccess)bad.Access)));
        Assert.NotEqual(0UL, driver.Client.TrySendIotlb(IotlbType.Invalidate, ulong.MaxValue, 2, 0, IotlbAccess.None));
        Assert.NotEqual(0UL, driver.Client.TrySendIotlb(IotlbType.Miss, 0, 4096, user, IotlbAccess.ReadOnly));
        Assert.NotEqual(0UL, driver.Client.TrySendIotlb((IotlbType)77, 0, 4096, user, IotlbAccess.ReadOnly));
        FrameExchange.Run(driver, host, 50);
    }

    private async Task<VirtioNetDriver> ConnectAsync(VirtioFeatures format)
    {
        Backends.SkipForDpdk("its own tests cover it");
        await StartAsync(new BackendOptions { AccessPlatform = true });
        return Prepare(new VirtioNetOptions
        {
            Pairs = 2,
            Features = VirtioNetOptions.ModernFeatures | VirtioFeatures.AccessPlatform | format,
            ProtocolFeatures = new VirtioNetOptions().ProtocolFeatures | Needed,
        });
    }
}

/// <summary>A Linux guest whose card is behind its IOMMU, in strict mode: each buffer is mapped for one transfer.</summary>
public sealed class IommuGuestSpec(IommuGuestSpec.Strict guest) : IClassFixture<IommuGuestSpec.Strict>
{
    [SkippableFact]
    public async Task It_answers_every_ping()
    {
        QemuGuest booted = await guest.GuestAsync();
        Assert.Contains("DMAR: IOMMU enabled", await booted.MustRunAsync("dmesg | grep DMAR"), StringComparison.Ordinal);
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(IPStatus.Success, guest.Backend.Namespace.Ping(ServedGuest.GuestAddress, TimeSpan.FromSeconds(10)));
        }
    }

    [SkippableFact]
    public async Task TCP_flows_both_ways()
    {
        await guest.GuestAsync();

        // A small window, for what is still under way when the time is over has to go through the IOMMU as well.
        foreach (string[] direction in new string[][] { ["-R"], ["-w", "64K"] })
        {
            IperfResult result = await IperfResult.RunAsync(guest.Backend.Namespace, ServedGuest.GuestAddress, direction);
            Assert.True(result.BitsPerSecond > 0, result.ToString());
        }
    }

    public sealed class Strict : ServedGuest
    {
        internal override QemuOptions Card => new() { Iommu = true };
    }
}
