using Ringmaster.Actors.Device;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>Front-ends come, ask for things and go; what one does wrong costs its own session at most.</summary>
public sealed class SessionSpec : DeviceTest
{
    [Fact]
    public async Task A_second_front_end_waits_until_the_first_has_gone()
    {
        StartDevice();
        FrontEnd first = Connect();
        await first.NegotiateAsync();
        FrontEnd second = Connect();
        Task<byte[]> answer = second.AskAsync(RequestCode.GetFeatures);
        await first.SyncAsync();
        Assert.False(answer.IsCompleted);
        Assert.Equal(1, (await StatusAsync()).Sessions);

        first.Dispose();
        await answer;
        Assert.Equal(2, (await StatusAsync()).Sessions);
    }

    [Fact]
    public async Task When_the_front_end_has_gone_rings_stop_memory_goes_and_the_host_side_stays()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.BringUpAsync();
        frontEnd.Dispose();

        await StatusIsAsync(status => Assert.Equal((DevicePhase.Listening, 0), (status.Phase, status.MemoryRegions)));
        Assert.Equal(DeviceDemand.None, Host.Latest);
        Assert.Equal((1, 0), (Host.Opened, Host.Disposed));
        foreach (FakeWorker worker in Workers.All)
        {
            Assert.Null(worker.Ring(RingSide.Rx));
            Assert.Null(worker.Ring(RingSide.Tx));
            Assert.Same(GuestMemory.Empty, worker.Commands.OfType<ReplaceMemory>().Last().Memory);
        }
    }

    [Fact]
    public async Task A_front_end_that_breaks_the_protocol_is_cut_off_and_the_next_one_served()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        frontEnd.Send(RequestCode.GetFeatures, new byte[5000]);
        await frontEnd.ClosedAsync();
        await Connect().BringUpAsync();
    }

    [Fact]
    public async Task A_request_that_is_not_known_is_refused_and_the_session_lives_on()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync();
        Assert.NotEqual(0UL, await frontEnd.DoAsync((RequestCode)999));
        await frontEnd.SyncAsync();
    }

    [Fact]
    public async Task A_front_end_cannot_fill_the_log_with_refusals()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync();
        await EventFilter.Warning(contains: "refused").ExpectAsync(20, async () =>
        {
            for (int i = 0; i < 50; i++)
            {
                await frontEnd.DoAsync((RequestCode)999);
            }
        });
    }

    [Fact]
    public async Task An_announcement_goes_out_through_a_worker()
    {
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync();
        await frontEnd.DoAsync(RequestCode.SendRarp, [0x52, 0x54, 0, 1, 2, 3, 0, 0]);
        var sent = Assert.IsType<SendFrame>(Assert.Single(Workers.Latest(0)!.Commands));
        Assert.Equal([0x52, 0x54, 0, 1, 2, 3], sent.Frame.ToArray());
    }
}
