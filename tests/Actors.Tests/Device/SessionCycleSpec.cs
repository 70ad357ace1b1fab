using Akka.Actor;
using Ringmaster.Actors.Device;
using Ringmaster.Actors.Tests.Support;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>One front-end after the other.</summary>
[Collection(Leaks.Alone)]
public sealed class SessionCycleSpec : DeviceTest
{
    [Fact]
    public async Task Two_hundred_front_ends_one_after_the_other_leave_no_fd_and_no_mapping_behind()
    {
        StartDevice();
        await CycleAsync(10);
        (int fds, int mappings) before = (Leaks.OpenFds(), Leaks.DeletedMappings());
        await CycleAsync(200);
        await Leaks.UntilAsync(
            () => Leaks.OpenFds() <= before.fds && Leaks.DeletedMappings() <= before.mappings,
            () => $"before {before}, now {Leaks.OpenFds()} fds, {Leaks.DeletedMappings()} mappings: {Leaks.DescribeFds()}");
        Assert.Equal((1, 2), (Host.Opened, Workers.All.Count));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Memory_that_is_mapped_while_the_device_ends_does_not_stay(bool stopped)
    {
        int before = Leaks.DeletedMappings();
        StartDevice();
        FrontEnd frontEnd = Connect();
        await frontEnd.NegotiateAsync();
        await frontEnd.StartRingAsync(0);
        Host.Gate.Reset();
        _ = frontEnd.ShareMemoryAsync();
        await AwaitAssertAsync(() => Assert.Equal(1, Host.Waiting));
        Assert.True(Leaks.DeletedMappings() > before);

        Watch(Device);
        if (stopped)
        {
            Device.Tell(StopDevice.Instance);
            await StatusIsAsync(status => Assert.Equal(DevicePhase.Stopping, status.Phase));
            Host.Gate.Set();
            ExpectTerminated(Device);
        }
        else
        {
            Sys.Stop(Device);
            ExpectTerminated(Device);
            Host.Gate.Set();
        }

        await Leaks.UntilAsync(() => Leaks.DeletedMappings() <= before, () => $"{Leaks.DeletedMappings()} mappings");
    }

    private async Task CycleAsync(int times)
    {
        for (int i = 0; i < times; i++)
        {
            using (FrontEnd frontEnd = FrontEnd.Connect(Socket, Loop))
            {
                await frontEnd.BringUpAsync();
            }

            await StatusIsAsync(status => Assert.Equal(DevicePhase.Listening, status.Phase));
        }
    }
}
