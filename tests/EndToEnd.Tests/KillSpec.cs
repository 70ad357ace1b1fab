using System.Net.Sockets;
using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>
/// The back-end is killed in the middle of traffic both ways and started again; the front-end, which has kept its memory, its
/// rings and the in-flight buffer, connects to the next one. The driver accounts for every chain.
/// </summary>
public sealed class KillSpec(KillSpec.Killed served) : IClassFixture<KillSpec.Killed>
{
    private const VirtioFeatures Packed = VirtioFeatures.RingPacked;
    private const VirtioFeatures InOrder = VirtioFeatures.InOrder;
    private const ProtocolFeatures Inflight = ProtocolFeatures.InflightShmfd | ProtocolFeatures.GetVringBaseInflight;
    private const int Kills = 2;
    private const int Burst = 16;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private long _moved;
    private int _sent;
    private int _lastAtHost = -1;
    private int _lastAtGuest = -1;

    /// <summary>
    /// What SET_VRING_BASE says is what some front-ends send: the position after the last chain published. A split ring without
    /// INFLIGHT_SHMFD goes on from used.idx all the same, any ring with it from what the buffer tells.
    /// </summary>
    [SkippableTheory]
    [InlineData(VirtioFeatures.None, 256, true)]
    [InlineData(VirtioFeatures.None, 256, false)]
    [InlineData(InOrder, 128, true)]
    [InlineData(Packed, 256, true)]
    [InlineData(Packed | InOrder, 100, true)]
    public async Task No_chain_is_lost_and_none_comes_back_twice(VirtioFeatures format, int size, bool inflight)
    {
        RingmasterProcess backend = await served.BackendAsync();
        VirtioNetOptions options = Options(format, size, inflight);
        using VirtioNetDriver driver = served.Connect(options);
        Assert.Equal(inflight, driver.Client.ProtocolFeatures.HasFlag(Inflight));
        Assert.Equal(format, driver.Features & (Packed | InOrder));

        var random = new Random(size);
        for (int kill = 0; kill < Kills; kill++)
        {
            await RunUntilKilledAsync(driver, backend, _moved + random.Next(2000, 20_000));
            await backend.RestartAsync();
            driver.Reconnect(served.ConnectClient(), fromPublished: true);
        }

        EveryChainComesBack(driver.Pairs[0], size);
        driver.StopRings();
        Assert.Equal((0, size), (driver.Pairs[0].Tx.Outstanding, driver.Pairs[0].Rx.Outstanding));
    }

    private static VirtioNetOptions Options(VirtioFeatures format, int size, bool inflight)
    {
        VirtioNetOptions options = new()
        {
            QueueSize = size,
            Features = VirtioNetOptions.ModernFeatures | format,
            Polling = true,
            TransmitBufferSize = 2048,
        };
        return inflight
            ? options with { ProtocolFeatures = options.ProtocolFeatures | Inflight }
            : options;
    }

    /// <summary>Frames both ways; the process is killed once so many have been moved, and they go on until its end.</summary>
    private async Task RunUntilKilledAsync(VirtioNetDriver driver, RingmasterProcess backend, long moved)
    {
        using PacketSocket host = served.OpenHost();
        DateTime deadline = DateTime.UtcNow + Timeout;
        Task? killed = null;
        _lastAtHost = -1;
        try
        {
            while (killed is null || !killed.IsCompleted)
            {
                Move(driver.Pairs[0], host);
                Assert.True(DateTime.UtcNow < deadline, $"{_moved} frames were moved, too few");
                if (_moved >= moved)
                {
                    killed ??= backend.Process.KillAsync();
                }
            }
        }
        catch (SocketException) when (killed?.Wait(Timeout) == true)
        {
            // The interface has gone with the process.
        }

        await killed;
    }

    private void Move(NetQueuePair pair, PacketSocket host)
    {
        for (int i = 0; i < Burst; i++)
        {
            host.Send(TestFrame.Build(_sent, TestFrame.MinimumSize));
            pair.TrySend(TestFrame.Build(_sent, TestFrame.MinimumSize));
            _sent++;
        }

        pair.FlushTx();
        pair.Reclaim();
        ReceiveInGuest(pair);
        while (host.Receive(TimeSpan.Zero) is { } frame)
        {
            CheckAtHost(frame);
        }
    }

    /// <summary>A chain that came back twice would bring its frame twice, or one that was never written.</summary>
    private void ReceiveInGuest(NetQueuePair pair)
    {
        while (pair.TryReceive(out _, out ReadOnlySpan<byte> frame))
        {
            if (TestFrame.NumberOf(frame) is { } number)
            {
                Assert.True(number > _lastAtGuest, $"frame {number} came after frame {_lastAtGuest}");
                Assert.True(frame.SequenceEqual(TestFrame.Build(number, TestFrame.MinimumSize)));
                _lastAtGuest = number;
                _moved++;
            }
        }

        pair.FlushRx();
    }

    /// <summary>Frames whose chains were not returned are sent once more by the next back-end, but never by the same.</summary>
    private void CheckAtHost(byte[] frame)
    {
        if (TestFrame.NumberOf(frame) is { } number)
        {
            Assert.True(number > _lastAtHost, $"frame {number} came after frame {_lastAtHost}");
            Assert.Equal(TestFrame.Build(number, TestFrame.MinimumSize), frame);
            _lastAtHost = number;
            _moved++;
        }
    }

    /// <summary>More frames than there are chains, with every transmit chain back after each window.</summary>
    private void EveryChainComesBack(NetQueuePair pair, int size)
    {
        using PacketSocket host = served.OpenHost();
        _lastAtHost = -1;
        int first = _sent;
        while (_sent < first + (3 * size) + Burst)
        {
            Move(pair, host);
            DateTime deadline = DateTime.UtcNow + Timeout;
            while (pair.Tx.Outstanding > 0 || _lastAtGuest < _sent - 1)
            {
                pair.Reclaim();
                ReceiveInGuest(pair);
                Assert.True(
                    DateTime.UtcNow < deadline,
                    $"{pair.Tx.Outstanding} transmit chains are out; frame {_lastAtGuest} of {_sent - 1} came last to the guest");
            }
        }
    }

    public sealed class Killed : BackendFixture
    {
        private Task? _start;

        /// <summary>The process that the test before has started last: a start takes longer than all the rest.</summary>
        internal async Task<RingmasterProcess> BackendAsync()
        {
            Backends.SkipForDpdk("the restart is RingmasterProcess's");
            await (_start ??= StartAsync(new BackendOptions()));
            RingmasterProcess backend = (RingmasterProcess)Backend;
            if (backend.Process.HasExited)
            {
                await backend.RestartAsync();
            }

            return backend;
        }
    }
}
