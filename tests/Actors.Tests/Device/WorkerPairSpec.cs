using Ringmaster.Actors.Device;
using Ringmaster.Actors.Tests.Support;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Device;

/// <summary>From what is wanted and what was told to commands.</summary>
public sealed class WorkerPairSpec : IDisposable
{
    private readonly GuestMemory _memory = Map(0);
    private readonly GuestMemory _other = Map(1 << 30);
    private readonly WorkerPair _pair = new(0, null, TestDevices.Restart);

    public WorkerPairSpec() => Begin();

    [Fact]
    public void A_new_worker_gets_memory_first_and_then_its_rings() => Assert.Equal(
        [typeof(ReplaceMemory), typeof(StartRing), typeof(StartRing)],
        Tell(_memory, Plan(), Plan()));

    [Fact]
    public void What_was_told_is_not_told_again()
    {
        Tell(_memory, Plan(), Plan());
        Assert.Empty(Tell(_memory, Plan(), Plan()));
    }

    [Fact]
    public void Rings_stop_before_memory_changes_and_start_after_it()
    {
        Tell(_memory, Plan(), null);
        Assert.Equal([typeof(StopRing), typeof(ReplaceMemory), typeof(StartRing)], Tell(_other, null, Plan()));
    }

    [Fact]
    public void A_change_of_a_running_ring_leaves_its_index_alone()
    {
        Tell(_memory, Plan() with { Base = 5 }, null);
        PairDemand demand = DemandOf(_memory, Plan() with { Base = 9, Enabled = false }, null);
        RingPlan plan = Assert.IsType<UpdateRing>(Assert.Single(_pair.Reconcile(demand))).Plan;
        Assert.Equal((5u, false), (plan.Base, plan.Enabled));
        Assert.Empty(Tell(_memory, Plan() with { Base = 11, Enabled = false }, null));
    }

    [Fact]
    public void A_ring_of_another_size_is_another_ring()
    {
        Tell(_memory, Plan(), null);
        Assert.Equal([typeof(StopRing), typeof(StartRing)], Tell(_memory, Plan() with { Size = 128 }, null));
    }

    [Fact]
    public void A_broken_ring_is_left_alone_until_it_is_started_anew()
    {
        Tell(_memory, Plan(), Plan());
        _pair.RingBroke(RingSide.Tx);
        Assert.Empty(Tell(_memory, Plan(), Plan() with { Enabled = false }));
        _pair.RingRestarted(RingSide.Tx);
        Assert.Equal([typeof(StartRing)], Tell(_memory, Plan(), Plan()));
    }

    [Fact]
    public void The_next_worker_is_told_everything()
    {
        Tell(_memory, Plan(), Plan());
        _pair.Exited();
        Assert.Empty(Tell(_memory, Plan(), Plan()));
        Begin();
        Assert.Equal([typeof(ReplaceMemory), typeof(StartRing), typeof(StartRing)], Tell(_memory, Plan(), Plan()));
    }

    [Fact]
    public void It_is_busy_until_the_last_command_is_answered()
    {
        IReadOnlyList<WorkerCommand> commands = _pair.Reconcile(DemandOf(_memory, Plan(), null));
        Assert.True(_pair.Busy);
        Assert.True(_pair.Acknowledge(commands[1].Id));
        Assert.True(_pair.Busy);
        Assert.True(_pair.Acknowledge(commands[0].Id));
        Assert.False(_pair.Busy);
        Assert.False(_pair.Acknowledge(commands[0].Id));
    }

    [Fact]
    public void Death_and_silence_answer_everything()
    {
        Tell(_memory, Plan(), null);
        _pair.FallSilent("it was silent");
        Assert.False(_pair.Busy);
        Assert.False(_pair.ThreadIsGone);
        _pair.Exited();
        Assert.True(_pair.ThreadIsGone);
    }

    public void Dispose()
    {
        _memory.Release();
        _other.Release();
    }

    private static GuestMemory Map(ulong address)
    {
        using OwnedFd file = FrontEnd.TempFile(4096);
        return GuestMemory.Map([(new MemoryRegionLayout(address, 4096, address, 0), file)]);
    }

    private static RingPlan Plan() => new()
    {
        Size = 64,
        DescriptorAddress = 0x1000,
        DriverAddress = 0x2000,
        DeviceAddress = 0x3000,
        Base = 0,
        Features = VirtioFeatures.Version1,
        Enabled = true,
    };

    private void Begin()
    {
        long generation = _pair.BeginGeneration();
        var plan = new WorkerPlan(
            "net0/pair-0", generation, null, IoEngine.Syscall, BusyPoll.Off, Merge: false, null!, _pair.Counters.Live);
        _pair.Started(new FakeWorker(plan, _ => { }, holds: true));
    }

    private Type[] Tell(GuestMemory memory, RingPlan? rx, RingPlan? tx) =>
        [.. _pair.Reconcile(DemandOf(memory, rx, tx)).Select(command => command.GetType())];

    private static PairDemand DemandOf(GuestMemory memory, RingPlan? rx, RingPlan? tx) =>
        new(new GuestMaps(memory, null), Iotlb.Empty, null, rx, tx);
}
