using Ringmaster.Actors.Device;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>What others get of a worker: its name, its state, and a way onto its loop.</summary>
public sealed class WorkerHandleSpec : DeviceTest
{
    [Fact]
    public async Task GetWorkers_gives_a_handle_on_each_worker_and_a_way_onto_its_loop()
    {
        StartDevice();
        using var fd = new EventFd();
        IReadOnlyList<WorkerHandle> handles = await WorkersAsync();
        Assert.Equal(["net0/pair-0", "net0/pair-1"], handles.Select(handle => handle.Name));
        Assert.All(handles, handle => Assert.Equal((1L, WorkerState.Running), (handle.Generation, handle.State)));

        bool called = false;
        Assert.True(handles[1].Watch(fd.Fd, () => called = true));
        var watch = Assert.IsType<WatchFd>(Assert.Single(Workers.Latest(1)!.Commands));
        Assert.Same(fd.Fd, watch.Fd);
        watch.OnReadable();
        Assert.True(called);
        Assert.True(handles[1].Unwatch(fd.Fd));
        Assert.Empty(Workers.Latest(0)!.Commands);
    }

    [Fact]
    public async Task A_handle_on_a_worker_that_has_ended_says_so()
    {
        StartDevice();
        WorkerHandle handle = (await WorkersAsync())[0];
        Workers.Latest(0)!.Die("it broke");
        using var fd = new EventFd();
        Assert.False(handle.Watch(fd.Fd, () => { }));
        Assert.Equal(WorkerState.Failed, handle.State);
    }
}
