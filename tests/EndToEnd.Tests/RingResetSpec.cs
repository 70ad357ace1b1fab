using System.Runtime.CompilerServices;
using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>Single rings that are reset and set up anew, with another size and elsewhere, while the others run.</summary>
public sealed class RingResetSpec : BackendFixture
{
    private const VirtioFeatures Packed = VirtioFeatures.RingPacked;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    [SkippableTheory]
    [InlineData(VirtioFeatures.None)]
    [InlineData(Packed)]
    public async Task Every_ring_can_be_reset_to_another_size_and_all_go_on(VirtioFeatures format)
    {
        using VirtioNetDriver driver = await StartAsync(format);
        using PacketSocket host = OpenHost();

        foreach (int size in new[] { 64, 16, 256, 32 })
        {
            for (int ring = 0; ring < 4; ring++)
            {
                driver.ResetRing(ring, size);
                FrameExchange.Run(driver, host, 24, window: 8);
            }
        }

        Assert.All(driver.Pairs, pair => Assert.Equal((32, 32), (pair.Rx.Size, pair.Tx.Size)));
    }

    [SkippableTheory]
    [InlineData(VirtioFeatures.None)]
    [InlineData(Packed)]
    public async Task A_ring_loses_nothing_while_every_other_one_is_reset(VirtioFeatures format)
    {
        using VirtioNetDriver driver = await StartAsync(format);
        using PacketSocket host = OpenHost();
        using CancellationTokenSource end = new();
        StrongBox<int> sent = new();
        Task traffic = Task.Run(() => SendOneByOne(driver.Pairs[1], host, sent, end.Token));

        for (int round = 0; round < 40 || (Volatile.Read(ref sent.Value) <= 40 && !traffic.IsCompleted); round++)
        {
            driver.ResetRing(round % 3, round % 2 == 0 ? 64 : 128);
        }

        await end.CancelAsync();
        await traffic;
        Assert.True(sent.Value > 40);
        FrameExchange.Run(driver, host, 100, window: 8);
    }

    [SkippableFact]
    public async Task Without_the_switch_RING_RESET_is_not_offered_since_QEMU_would_pass_it_on()
    {
        using VirtioNetDriver driver = await StartAsync(VirtioFeatures.NotificationData, offered: false);
        using PacketSocket host = OpenHost();

        Assert.Equal(
            VirtioFeatures.NotificationData, driver.Features & (VirtioFeatures.NotificationData | VirtioFeatures.RingReset));
        FrameExchange.Run(driver, host, 100);
    }

    /// <summary>Sends frames on one ring, each when the one before has arrived at the TAP.</summary>
    private static void SendOneByOne(NetQueuePair pair, PacketSocket host, StrongBox<int> number, CancellationToken end)
    {
        for (; !end.IsCancellationRequested; number.Value++)
        {
            byte[] sent = TestFrame.Build(number.Value, TestFrame.MinimumSize + (number.Value % 1000));
            Assert.True(pair.TrySend(sent));
            pair.FlushTx();
            Assert.Equal(sent, host.Receive(Timeout));
        }
    }

    private async Task<VirtioNetDriver> StartAsync(VirtioFeatures features, bool offered = true)
    {
        Backends.SkipForDpdk("it has no RING_RESET");
        await StartAsync(new BackendOptions { Keys = offered ? ["features.ring-reset=on"] : [] });
        return Connect(
            new VirtioNetOptions { Pairs = 2, Features = VirtioNetOptions.ModernFeatures | VirtioFeatures.RingReset | features });
    }
}
