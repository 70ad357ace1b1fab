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
