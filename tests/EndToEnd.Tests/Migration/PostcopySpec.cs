using Ringmaster.EndToEnd.Tests.Host;
using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests.Migration;

/// <summary>
/// A guest that runs here before its memory has come: our own driver plays the front-end, which keeps every page elsewhere until
/// the back-end waits for it.
/// </summary>
public sealed class PostcopySpec : BackendFixture
{
    private const int Frames = 100;
    private const VirtioFeatures Packed = VirtioFeatures.RingPacked;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan WorkerTimeout = TimeSpan.FromSeconds(1);

    [SkippableTheory]
    [InlineData(VirtioFeatures.None, false)]
    [InlineData(Packed, false)]
    [InlineData(VirtioFeatures.None, true)]
    public async Task Frames_pass_while_every_page_that_they_need_is_still_to_come(VirtioFeatures format, bool single)
    {
        await StartAsync();
        using PacketSocket host = OpenHost();
        using VirtioNetDriver driver = Prepare(format);
        int[] waiting = [.. Enumerable.Range(0, 8)];
        foreach (int number in waiting)
        {
            Assert.True(driver.Pairs[0].TrySend(TestFrame.Build(number, 1000)));
        }

        driver.Pairs[0].FlushTx();
        using PageServer server = Arrive(driver, single);
        driver.StartRings();
        driver.Pairs[0].TxKick.Signal();

        // These were put on the ring on the other machine, and are read from pages that come one by one.
        foreach (int number in waiting)
        {
            byte[] frame = NextFrame(host);
            Assert.Equal(TestFrame.Build(number, 1000), frame);
        }

        FrameExchange.Run(driver, host, Frames);
        Assert.InRange(server.PagesWanted, waiting.Length, int.MaxValue);

        server.BringTheRest();
        driver.Client.PostcopyEnd();
        FrameExchange.Run(driver, host, Frames);
        AssertNothingRefused();
    }

    [SkippableFact]
    public async Task A_worker_that_waits_for_a_page_longer_than_its_time_out_is_not_given_up()
    {
        await StartAsync($"restart.worker-timeout={WorkerTimeout.TotalMilliseconds}ms");
        using PacketSocket host = OpenHost();
        using VirtioNetDriver driver = Prepare(VirtioFeatures.None);
        using PageServer server = Arrive(driver, single: false);
        server.Brings = false;
        Task starting = Task.Run(() => driver.StartRings());

        // The worker waits for a part of its ring; what follows for it, and the front-end with it, wait as well.
        Assert.True(server.WaitForFault(Timeout), Backend.Process.Output);
        Assert.False(server.WaitForFault(2 * WorkerTimeout));
        Assert.False(starting.IsCompleted);
        server.Brings = true;
        await starting.WaitAsync(Timeout);

        FrameExchange.Run(driver, host, Frames);
        AssertNothingRefused();
        Assert.DoesNotContain("no answer", Backend.Process.Output, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task When_the_front_end_goes_nobody_waits_any_more_and_the_next_one_is_served()
    {
        await StartAsync();
        using PacketSocket host = OpenHost();
        OwnedFd kept;
        using (VirtioNetDriver driver = Prepare(VirtioFeatures.None))
        {
            kept = Advise(driver);
            using PageServer server = Serve(driver, kept.Duplicate(), single: false);
            server.Brings = false;
            driver.Client.Timeout = TimeSpan.FromSeconds(1);
            Assert.Throws<FrontendException>(() => driver.StartRings());
            Assert.True(server.WaitForFault(Timeout), Backend.Process.Output);

            // The front-end goes, and somebody still has its userfaultfd open.
            driver.Client.Dispose();
            await Backend.Process.LineAsync("front-end gone", Timeout);
        }

        using (kept)
        {
            using VirtioNetDriver next = Connect(new VirtioNetOptions());
            FrameExchange.Run(next, host, Frames);
            AssertNothingRefused();
        }
    }

    [SkippableFact]
    public async Task Rings_wait_until_the_front_end_knows_where_its_memory_is_mapped()
    {
        await StartAsync();
        using PacketSocket host = OpenHost();
        using VirtioNetDriver driver = Prepare(VirtioFeatures.None);
        using OwnedFd faults = Advise(driver);
        driver.Client.PostcopyListen();
        IReadOnlyList<ulong> bases = driver.Client.SetMemTablePostcopy(driver.Ram);
        Assert.All(bases, address => Assert.NotEqual(0UL, address));
        driver.StartRings();
        HostFixture.Signal(Backend.Process, HostFixture.SIGUSR1);
        await Backend.Process.LineAsync("device net0 pair 0: .*, rx stopped, tx stopped", Timeout);

        driver.Client.AcknowledgeBases(RequestCode.SetMemTable);
        driver.Client.PostcopyEnd();
        FrameExchange.Run(driver, host, Frames);
        AssertNothingRefused();
    }

    private static byte[] NextFrame(PacketSocket host)
    {
        byte[]? frame;
        do
        {
            frame = host.Receive(Timeout);
        }
        while (frame is not null && TestFrame.NumberOf(frame) is null);
        return frame ?? throw new TimeoutException("no frame arrived at the TAP");
    }

    private static OwnedFd Advise(VirtioNetDriver driver) =>
        driver.Client.PostcopyAdvise() ?? throw new FrontendException("POSTCOPY_ADVISE was refused");

    /// <summary>The guest has been stopped on the other machine, and all of its memory is there.</summary>
    private static PageServer Arrive(VirtioNetDriver driver, bool single) => Serve(driver, Advise(driver), single);

    private static PageServer Serve(VirtioNetDriver driver, OwnedFd faults, bool single)
    {
        FrontendClient client = driver.Client;
        driver.StopRings();
        IReadOnlyList<byte[]> contents = driver.Ram.Evict();
        client.PostcopyListen();
        if (single)
        {
            foreach (int region in Enumerable.Range(0, driver.Ram.Regions.Count))
            {
                client.RemMemReg(driver.Ram, region);
            }
        }

        IReadOnlyList<ulong> bases = single
            ? [.. driver.Ram.Regions.Select((_, region) => client.AddMemRegPostcopy(driver.Ram, region))]
            : client.SetMemTablePostcopy(driver.Ram);
        client.AcknowledgeBases(single ? RequestCode.AddMemReg : RequestCode.SetMemTable);
        return new PageServer(driver.Ram, contents, bases, faults);
    }

    private void AssertNothingRefused()
    {
        Assert.DoesNotContain("refused:", Backend.Process.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("given up", Backend.Process.Output, StringComparison.Ordinal);
    }

    private async Task StartAsync(params string[] settings)
    {
        Backends.SkipForDpdk("its post-copy is not in question here");
        await StartAsync(new BackendOptions { QueuePairs = 1, Keys = settings });
    }

    /// <summary>Negotiated, with all receive buffers on the ring.</summary>
    private VirtioNetDriver Prepare(VirtioFeatures format)
    {
        VirtioNetDriver driver = Prepare(new VirtioNetOptions
        {
            Features = VirtioNetOptions.ModernFeatures | format,
            ProtocolFeatures = new VirtioNetOptions().ProtocolFeatures | ProtocolFeatures.Pagefault,
        });
        driver.Pairs[0].PostAll();
        foreach (int ring in new[] { 0, 1 })
        {
            driver.Client.SetVringEnable(ring, on: true);
        }

        return driver;
    }
}
