using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>A front-end hands out kick, call and error descriptors that are of no use, or turn out to be.</summary>
[Collection(HostileCollection.Name)]
public sealed class NotificationSpec(HostileBackend backend)
{
    /// <summary>Every message that brings such a descriptor, with everything that it must not be.</summary>
    public static TheoryData<RequestCode, string> UselessFds
    {
        get
        {
            TheoryData<RequestCode, string> data = [];
            foreach (RequestCode request in new[] { RequestCode.SetVringKick, RequestCode.SetVringCall, RequestCode.SetVringErr })
            {
                foreach (string what in Useless.Keys)
                {
                    data.Add(request, what);
                }
            }

            return data;
        }
    }

    private static Dictionary<string, Func<OwnedFd>> Useless => new()
    {
        ["a regular file"] = () =>
            RawFds.Open(Path.Combine(AppContext.BaseDirectory, "Ringmaster.EndToEnd.Tests.dll"), RawFds.ReadOnly),
        ["an epoll set"] = RawFds.Epoll,
        ["/dev/zero"] = () => RawFds.Open("/dev/zero"),
        ["/dev/null"] = () => RawFds.Open("/dev/null"),
        ["a directory"] = () => RawFds.Open("/tmp", RawFds.ReadOnly),
    };

    [SkippableTheory]
    [MemberData(nameof(UselessFds))]
    public Task A_descriptor_that_cannot_notify_is_refused_and_the_ring_goes_on(RequestCode request, string what) =>
        backend.SurvivesAsync(() =>
        {
            using VirtioNetDriver driver = Start();
            HostileFrontEnd frontEnd = new(backend, driver.Client);
            using OwnedFd fd = Useless[what]();
            frontEnd.ExpectRefusal(request, FrontendClient.Number(0), fd);
            frontEnd.ExpectRefusal(request, FrontendClient.Number(1), fd);
            GoodGuest.ExchangeFrames(backend, driver);
        });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_call_pipe_that_is_full_holds_nothing_up(RingSide side) =>
        backend.SurvivesAsync(() => ExchangeWithFullPipe(side));

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_call_pipe_that_nobody_reads_any_more_holds_nothing_up(RingSide side) => backend.SurvivesAsync(() =>
    {
        (OwnedFd reader, OwnedFd writer) = RawFds.Pipe();
        using (writer)
        {
            reader.Dispose();
            ExchangeWithCall(side, writer);
        }
    });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_call_eventfd_that_is_full_and_blocks_holds_nothing_up(RingSide side) => backend.SurvivesAsync(() =>
    {
        using OwnedFd call = RawFds.BlockingEventFd();
        RawFds.FillEventFd(call);
        ExchangeWithCall(side, call);
    });

    /// <summary>O_NONBLOCK belongs to the open file, and that to both of them.</summary>
    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_call_pipe_that_is_full_and_made_to_block_again_holds_nothing_up(RingSide side) =>
        backend.SurvivesAsync(() => ExchangeWithFullPipe(side, RawFds.SetBlocking));

    /// <summary>There is no write to an eventfd that does not wait: its worker hangs, and is freed when it is given up.</summary>
    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_call_eventfd_that_is_full_and_made_to_block_again_costs_the_pair_alone(RingSide side) =>
        backend.SurvivesAsync(() =>
        {
            using OwnedFd call = RawFds.BlockingEventFd();
            using VirtioNetDriver driver = Start();
            driver.Client.SetVringCall(side == RingSide.Rx ? 0 : 1, call);
            RawFds.SetBlocking(call);
            RawFds.FillEventFd(call);
            int mark = backend.Backend.Process.Mark;
            backend.Host.Send(TestFrame.Build(HostileBackend.NextFrame(), GoodGuest.FrameSize));
            Assert.True(driver.Pairs[0].TrySend(TestFrame.Build(HostileBackend.NextFrame(), GoodGuest.FrameSize)));
            driver.Pairs[0].FlushTx();

            driver.Client.SetVringEnable(side == RingSide.Rx ? 0 : 1, false);

            backend.Backend.Process.LineAsync("the worker gave no answer", HostileBackend.Patience, mark)
                .GetAwaiter().GetResult();
        });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_call_socket_that_is_closed_at_its_other_end_holds_nothing_up(RingSide side) => backend.SurvivesAsync(() =>
    {
        (OwnedFd ours, OwnedFd theirs) = UnixSocket.Pair();
        using (theirs)
        {
            ours.Dispose();
            ExchangeWithCall(side, theirs);
        }
    });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_kick_pipe_works_until_its_writer_closes_it_and_then_costs_the_ring_alone(RingSide side) =>
        backend.SurvivesAsync(() =>
        {
            using HostileGuest guest = HostileGuest.Connect(backend, side, RingFormat.Split);
            (OwnedFd reader, OwnedFd writer) = RawFds.Pipe();
            guest.Driver.Client.SetVringKick(side == RingSide.Rx ? 0 : 1, reader);
            reader.Dispose();
            guest.OfferGood();
            guest.Ring.Publish();
            RawFds.Write(writer, BitConverter.GetBytes(1UL));
            guest.ExpectReturned();

            writer.Dispose();
            guest.ExpectGivenUp();
            guest.RebootAndExchange();
        });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task Kicks_of_an_odd_number_of_bytes_are_kicks_and_cost_no_more(RingSide side) => backend.SurvivesAsync(() =>
    {
        using HostileGuest guest = HostileGuest.Connect(backend, side, RingFormat.Split);
        (OwnedFd reader, OwnedFd writer) = RawFds.Pipe();
        using (reader)
        using (writer)
        {
            guest.Driver.Client.SetVringKick(side == RingSide.Rx ? 0 : 1, reader);
            foreach (int bytes in new[] { 1, 7, 9, 4000 })
            {
                guest.OfferGood();
                guest.Ring.Publish();
                RawFds.Write(writer, new byte[bytes]);
                guest.ExpectReturned();
            }

            backend.ExpectIdle();
        }
    });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_kick_that_is_replaced_while_the_ring_runs_is_let_go_and_the_new_one_heeded(RingSide side) =>
        backend.SurvivesAsync(() =>
        {
            using HostileGuest guest = HostileGuest.Connect(backend, side, RingFormat.Split);
            int before = backend.Descriptors;
            for (int i = 0; i < 20; i++)
            {
                using EventFd kick = new();
                guest.Driver.Client.SetVringKick(side == RingSide.Rx ? 0 : 1, kick.Fd);
                guest.OfferGood();
                guest.Ring.Publish();
                kick.Signal();
                guest.ExpectReturned();
            }

            Assert.Equal(before, backend.Descriptors);
        });

    [SkippableFact]
    public Task One_eventfd_for_every_purpose_holds_nothing_up() => backend.SurvivesAsync(() =>
    {
        using VirtioNetDriver driver = Start();
        using EventFd all = new();
        for (int ring = 0; ring < 2; ring++)
        {
            driver.Client.SetVringErr(ring, all.Fd);
            driver.Client.SetVringCall(ring, all.Fd);
            driver.Client.SetVringKick(ring, all.Fd);
        }

        // The driver kicks with its own eventfds, which the device has let go of; every call is a kick.
        all.Signal();
        GoodGuest.Receive(backend, driver, 1);
        Assert.True(driver.Pairs[0].TrySend(TestFrame.Build(HostileBackend.NextFrame(), GoodGuest.FrameSize)));
        driver.Pairs[0].FlushTx();
        all.Signal();
        Assert.True(
            SpinWait.SpinUntil(() => driver.Pairs[0].Reclaim() == 1, HostileBackend.Patience), "the chain did not come back");
    });

    private VirtioNetDriver Start() =>
        backend.Connect(new VirtioNetOptions { QueueSize = 64, TransmitBufferSize = 2048 });

    private void ExchangeWithFullPipe(RingSide side, Action<OwnedFd>? afterwards = null)
    {
        (OwnedFd reader, OwnedFd writer) = RawFds.Pipe();
        using (reader)
        using (writer)
        {
            RawFds.FillPipe(writer);
            ExchangeWithCall(side, writer, afterwards);
        }
    }

    /// <summary>The driver looks into its rings now and then, so that it needs no calls.</summary>
    private void ExchangeWithCall(RingSide side, OwnedFd call, Action<OwnedFd>? afterwards = null)
    {
        using VirtioNetDriver driver = Start();
        driver.Client.SetVringCall(side == RingSide.Rx ? 0 : 1, call);
        afterwards?.Invoke(call);
        for (int i = 0; i < 3; i++)
        {
            GoodGuest.ExchangeFrames(backend, driver);
        }

        backend.ExpectIdle();
    }
}
