using Ringmaster.Bench.Compare.Bare;
using Ringmaster.Native.Driver.Load;
using Ringmaster.Native.Linux;

namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>The host's side that sends as fast as it can: one thread on one CPU, the same for every back-end.</summary>
internal sealed class FrameGenerator : IDisposable
{
    private readonly Thread _thread;
    private readonly FrameInjector _injector;
    private volatile bool _ended;

    private FrameGenerator(FrameInjector injector, int cpu)
    {
        _injector = injector;
        _thread = new Thread(() => Send(cpu)) { Name = "generator", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Begins to send into an interface.</summary>
    internal static FrameGenerator Start(TestNamespace network, string networkInterface, Workload workload, int cpu)
    {
        byte[] frame = FrameOf(workload);
        return new FrameGenerator(network.Inside(() => new FrameInjector(networkInterface, frame)), cpu);
    }

    /// <summary>What to send: the kernel's own header (the guest's without its number of buffers), and the frame.</summary>
    internal static byte[] FrameOf(Workload workload)
    {
        byte[] frame = BareFrame.FromHost(workload.FrameSize, workload.Gso);
        return [.. frame[..FrameInjector.HeaderSize], .. frame[BareFrame.Header..]];
    }

    public void Dispose()
    {
        _ended = true;
        _thread.Join();
        _injector.Dispose();
    }

    private void Send(int cpu)
    {
        ThreadAffinity.Pin(cpu).OrThrow($"sched_setaffinity({cpu})");
        while (!_ended)
        {
            _injector.Send(FrameInjector.MaxBurst);
        }
    }
}
