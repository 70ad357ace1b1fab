using Ringmaster.Actors.Device;
using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Support;

/// <summary>A host's side that exists in name only.</summary>
internal sealed class FakeKind(DeviceSettings settings, FakeHost host) : IDeviceKind
{
    public string Type => "fake";

    public DeviceProfile Open()
    {
        host.OnOpen();
        return new DeviceProfile(
            settings.Features,
            settings.ProtocolFeatures,
            settings.QueuePairs,
            settings.QueueSize,
            settings.QueueNum,
            settings.Mac,
            settings.Mtu);
    }

    public void Apply(DeviceDemand demand) => host.OnApply(demand);

    public void WatchLink(ReadinessLoop loop, Action onChange) => host.LinkChanged = onChange;

    public LinkState ReadLink() => host.Gone ? LinkState.Gone : host.LinkUp ? LinkState.Up : LinkState.Down;

    public void ChangeMtu(int mtu) => host.OnChangeMtu(mtu);

    public WorkerPlan PlanWorker(int pair, long generation, int? cpu, WorkerCounters counters) =>
        new($"{settings.Name}/pair-{pair}", generation, cpu, IoEngine.Syscall, BusyPoll.Off, Merge: false, null!, counters);

    public ReadOnlyMemory<byte> Announcement(MacAddress mac) => mac.ToArray();

    public string Describe() => "nothing";

    public void Dispose() => host.OnDispose();
}

/// <summary>What became of the host's side of a device, over all its openings; decides what fails.</summary>
internal sealed class FakeHost
{
    private readonly Lock _gate = new();
    private readonly List<DeviceDemand> _demands = [];
    private int _waiting;

    /// <summary>Closed: whatever may block does block, as behind the kernel's rtnl lock.</summary>
    internal ManualResetEventSlim Gate { get; } = new(initialState: true);

    /// <summary>Calls that wait at the gate.</summary>
    internal int Waiting => Volatile.Read(ref _waiting);

    /// <summary>The next openings that fail.</summary>
    internal int FailingOpens { get; set; }

    /// <summary>What they fail with.</summary>
    internal Exception OpenFailure { get; set; } = new IOException("no such interface");

    /// <summary>The reason why every change fails, or null.</summary>
    internal string? RefusesChanges { get; set; }

    /// <summary>Whether the link is up; to be told by <see cref="LinkChanged"/>.</summary>
    internal bool LinkUp { get; set; } = true;

    /// <summary>Whether the interface was deleted, until it is opened again; to be told by <see cref="LinkChanged"/>.</summary>
    internal bool Gone { get; set; }

    internal Action LinkChanged { get; set; } = () => { };

    /// <summary>The last MTU that was set from outside a front-end, or null.</summary>
    internal int? Mtu { get; private set; }

    internal int Opened { get; private set; }

    internal int Disposed { get; private set; }

    /// <summary>Every demand that was applied, in order.</summary>
    internal IReadOnlyList<DeviceDemand> Demands
    {
        get
        {
            lock (_gate)
            {
                return [.. _demands];
            }
        }
    }

    internal DeviceDemand Latest => Demands.LastOrDefault() ?? DeviceDemand.None;

    internal void OnOpen()
    {
        PassGate();
        lock (_gate)
        {
            if (FailingOpens > 0)
            {
                FailingOpens--;
                throw OpenFailure;
            }

            Opened++;
            Gone = false;
        }
    }

    internal void OnApply(DeviceDemand demand)
    {
        PassGate();
        lock (_gate)
        {
            if (RefusesChanges is { } reason)
            {
                throw new IOException(reason);
            }

            _demands.Add(demand);
        }
    }

    internal void OnChangeMtu(int mtu)
    {
        lock (_gate)
        {
            Mtu = RefusesChanges is { } reason ? throw new IOException(reason) : mtu;
        }
    }

    internal void OnDispose()
    {
        lock (_gate)
        {
            Disposed++;
        }
    }

    private void PassGate()
    {
        Interlocked.Increment(ref _waiting);
        Gate.Wait();
        Interlocked.Decrement(ref _waiting);
    }
}
