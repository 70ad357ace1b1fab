using System.Collections.Concurrent;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Worker.Support;

/// <summary>
/// A real worker between a real driver's rings and a <see cref="FakeTap"/>, or a real one where it is given, without actors
/// or a socket.
/// </summary>
internal sealed class WorkerBench : IDisposable
{
    internal static readonly VirtioFeatures Modern =
        VirtioFeatures.Version1 | VirtioFeatures.EventIdx | VirtioFeatures.IndirectDesc | VirtioFeatures.MrgRxbuf;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private readonly BlockingCollection<WorkerReport> _reports = [];
    private readonly VirtioFeatures _features;
    private readonly IoEngine _engine;
    private readonly TapQueue _queue;
    private readonly bool _merge;
    private readonly TimeSpan? _heldFor;
    private long _generation;
    private GuestMemory _memory;

    internal WorkerBench(
        IoEngine engine,
        VirtioFeatures features,
        VirtioNetOptions? options = null,
        TapQueue? tap = null,
        bool merge = false,
        TimeSpan? heldFor = null)
    {
        _merge = merge;
        _heldFor = heldFor;
        _engine = engine;
        _features = features;
        options ??= new VirtioNetOptions { QueueSize = 256 };
        var layout = new NetLayout(options, features);
        Ram = new GuestRam(options.Ram ?? new GuestRamOptions { Pieces = [new RamPiece(0, layout.RamFor(options))] });
        Guest = new NetQueuePair(0, Ram, options, layout);
        Tap = new FakeTap(layout.HeaderSize);
        _queue = tap ?? Tap.Queue;
        _memory = GuestMemory.Map([.. Ram.Regions.Select((region, i) => (region, Ram.FileOf(i)))]);
        Worker = StartWorker();
    }

    internal GuestRam Ram { get; }

    internal NetQueuePair Guest { get; }

    internal FakeTap Tap { get; }

    internal QueuePairWorker Worker { get; private set; }

    internal WorkerCounters Counters { get; } = new();

    /// <summary>Starts both rings, the receive ring filled with buffers.</summary>
    internal void StartBoth()
    {
        Guest.PostAll();
        Start(RingSide.Rx);
        Start(RingSide.Tx);
    }

    internal void Start(RingSide side, bool enabled = true) => Do(new StartRing(side, PlanOf(side, enabled)));

    internal RingPlan PlanOf(RingSide side, bool enabled = true)
    {
        DriverRing ring = side == RingSide.Rx ? Guest.Rx : Guest.Tx;
        return new RingPlan
        {
            Size = ring.Size,
            DescriptorAddress = Ram.ToUser(ring.Addresses.Descriptors),
            DriverAddress = Ram.ToUser(ring.Addresses.Driver),
            DeviceAddress = Ram.ToUser(ring.Addresses.Device),
            Base = ring.Base,
            Features = _features,
            Enabled = enabled,
            Kick = (side == RingSide.Rx ? Guest.RxKick : Guest.TxKick).Fd,
            Call = (side == RingSide.Rx ? Guest.RxCall : Guest.TxCall).Fd,
            Error = (side == RingSide.Rx ? Guest.RxError : Guest.TxError).Fd,
        };
    }

    /// <summary>Posts a command and waits for its answer.</summary>
    internal CommandDone Do(WorkerCommand command)
    {
        Worker.Post(command);
        return Await<CommandDone>(done => done.CommandId == command.Id);
    }

    /// <summary>Waits for a report of some kind; others before it are passed over.</summary>
    internal TReport Await<TReport>(Func<TReport, bool>? accept = null)
        where TReport : WorkerReport
    {
        while (_reports.TryTake(out WorkerReport? report, Patience))
        {
            if (report is TReport wanted && (accept?.Invoke(wanted) ?? true))
            {
                return wanted;
            }
        }

        throw new TimeoutException($"The worker reported no {typeof(TReport).Name}.");
    }

    /// <summary>Sends a frame to the guest: an empty virtio header and these bytes.</summary>
    internal void SendToGuest(ReadOnlySpan<byte> frame)
    {
        byte[] whole = new byte[Tap.Queue.HeaderSize + frame.Length];
        frame.CopyTo(whole.AsSpan(Tap.Queue.HeaderSize));
        Assert.True(Tap.TrySend(whole), "the TAP's queue is full");
    }

    /// <summary>The next frame that the guest receives.</summary>
    internal (VirtioNetHeader Header, byte[] Frame) GuestReceives()
    {
        while (true)
        {
            if (Guest.TryReceive(out VirtioNetHeader header, out ReadOnlySpan<byte> frame))
            {
                byte[] copy = frame.ToArray();
                Guest.FlushRx();
                return (header, copy);
            }

            Assert.True(Guest.WaitRx(Patience), "no call and no frame came");
        }
    }

    /// <summary>Waits until the guest has got back all it sent.</summary>
    internal void ReclaimAll()
    {
        while (Guest.Tx.Outstanding > 0)
        {
            if (Guest.Reclaim() == 0)
            {
                Assert.True(Guest.WaitTx(Patience), "sent chains did not come back");
            }
        }
    }

    /// <summary>A new worker on the same pair, after the old one has exited.</summary>
    internal void Restart() => Worker = StartWorker();

    public void Dispose()
    {
        if (Worker.State is WorkerState.Running or WorkerState.Starting)
        {
            Worker.Post(new ExitWorker());
            Await<WorkerExited>();
        }

        _memory.Release();
        Guest.Dispose();
        Tap.Dispose();
        Ram.Dispose();
        _reports.Dispose();
    }

    private QueuePairWorker StartWorker()
    {
        var plan = new WorkerPlan("test/pair-0", ++_generation, null, _engine, BusyPoll.Off, _merge, _queue, Counters);
        plan = plan with { HeldFor = _heldFor ?? plan.HeldFor };
        Worker = QueuePairWorker.Start(plan, _reports.Add);
        Do(new ReplaceMemory(_memory));
        return Worker;
    }
}
