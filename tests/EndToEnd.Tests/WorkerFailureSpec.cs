using System.Diagnostics;
using Akka.Configuration;
using Ringmaster.Actors;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Settings;
using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;

namespace Ringmaster.EndToEnd.Tests;

/// <summary>
/// A worker dies in the middle of traffic on a real TAP, and what the front-end and the other pair see of it: nothing.
/// </summary>
public sealed class WorkerFailureSpec : IAsyncLifetime
{
    private const string Device = "net0";
    private const int Frames = 20_000;
    private const int Window = 32;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private readonly TemporaryFolder _folder = new();
    private TestNamespace? _network;
    private RingmasterBackend? _backend;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        if (_backend is not null)
        {
            await _backend.DisposeAsync();
        }

        if (_network is not null)
        {
            await _network.DisposeAsync();
        }

        _folder.Dispose();
    }

    [SkippableFact]
    public async Task The_other_pair_loses_nothing_and_the_failed_one_comes_back_by_itself()
    {
        Require.Root();
        _network = await TestNamespace.CreateAsync();
        _backend = await RingmasterBackend.StartAsync(BackendSettings.Load(Configuration(_network.Name, _folder["vhost"])));
        using PacketSocket host = PacketSocket.Open(_network, "rmtap0");
        using VirtioNetDriver driver = VirtioNetDriver.Start(
            FrontendClient.Connect(_folder["vhost"], Timeout),
            new VirtioNetOptions { Pairs = 2 });
        FrameExchange.Run(driver, host, 200);

        for (int failed = 0; failed < 2; failed++)
        {
            Task<bool> injection = _backend.InjectWorkerFaultAsync(Device, failed, "test");
            SendInOrder(driver.Pairs[1 - failed], host, Frames);
            Assert.True(await injection);

            // Both pairs, both ways, every frame once and unchanged: what was not served yet has waited in the rings and in
            // the TAP, and the front-end has done nothing.
            FrameExchange.Run(driver, host, 200);
        }

        DeviceSnapshot status = await _backend.GetDeviceStatusAsync(Device);
        Assert.Equal(1, status.Sessions);
        Assert.All(status.Pairs, pair => Assert.Equal((2, 1), ((int)pair.Generation, pair.Failures)));
    }

    /// <summary>Every frame of this pair reaches the TAP, in order, a window at a time.</summary>
    private static void SendInOrder(NetQueuePair pair, PacketSocket host, int frames)
    {
        Stopwatch patience = Stopwatch.StartNew();
        for (int number = 0; number < frames; number += Window)
        {
            for (int i = 0; i < Window; i++)
            {
                Assert.True(pair.TrySend(TestFrame.Build(number + i, TestFrame.MinimumSize)));
            }

            pair.FlushTx();
            for (int i = 0; i < Window;)
            {
                byte[]? frame = host.Receive(Timeout);
                Assert.True(frame is not null, $"frame {number + i} did not arrive within {patience.Elapsed}");
                if (TestFrame.NumberOf(frame) is { } got)
                {
                    Assert.Equal(number + i, got);
                    i++;
                }
            }
        }
    }

    private static Config Configuration(string network, string socket)
    {
        string reference = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "HOCON.conf"));
        return ConfigurationFactory.ParseString($$"""
            ringmaster.devices.{{Device}} {
              socket = "{{socket}}"
              queue-pairs = 2
              tap { name = rmtap0, netns = "{{network}}" }
            }
            """).WithFallback(ConfigurationFactory.ParseString(reference));
    }
}
