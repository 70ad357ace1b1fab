using Ringmaster.Bench.Compare.Bare;
using Ringmaster.Native.Driver.Load;
using Ringmaster.Native.Linux;

namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>
/// What a guest does with its buffers, on the driver's CPU, for a bare loop that has no rings to do it by. It keeps up with the
/// loop and does not hold it up.
/// <list type="bullet">
/// <item>To send: it writes the first bytes of each frame that has gone, as drivers write the headers of the next.</item>
/// <item>To receive: it sends a few frames into the interface, then looks at those that have come, by turns in one thread as
/// <c>ringmaster drive --inject</c> does: at the header of a plain one; an unsegmented one it copies.</item>
/// </list>
/// So the loop's bytes come from, or go to, where another CPU has them, and frames come as a back-end's do.
/// </summary>
internal sealed unsafe class BareGuest : IDisposable
{
    private const int CacheLine = 64;

    private readonly SharedFrames _frames;
    private readonly FrameInjector? _injector;
    private readonly byte[] _copy;
    private readonly int _burst;
    private readonly Thread _thread;
    private volatile bool _ended;
    private uint _seen;

    private BareGuest(SharedFrames frames, FrameInjector? injector, Workload workload)
    {
        _frames = frames;
        _injector = injector;
        _burst = RxLoad.BurstFor(frames.Count);
        _copy = new byte[workload.Gso ? BareFrame.Header + workload.FrameSize : CacheLine];
        _thread = new Thread(Work) { Name = "bare guest", IsBackground = true };
        _thread.Start();
    }

    /// <summary>How many buffers a guest has: as many frames as fit into the ring that the driver of that name has.</summary>
    internal static int BuffersOf(string driver, Workload workload) => (driver, workload) switch
    {
        (DriveGuest.DriverName, { Gso: true, Direction: Direction.TapToGuest }) => 16,
        (DriveGuest.DriverName, _) => 256,
        _ => 1024,
    };

    /// <summary>Begins.</summary>
    internal static BareGuest Start(TestNamespace network, string networkInterface, SharedFrames frames, Workload workload)
    {
        if (workload.Direction == Direction.GuestToTap)
        {
            return new BareGuest(frames, injector: null, workload);
        }

        byte[] frame = FrameGenerator.FrameOf(workload);
        return new BareGuest(frames, network.Inside(() => new FrameInjector(networkInterface, frame)), workload);
    }

    public void Dispose()
    {
        _ended = true;
        _thread.Join();
        _injector?.Dispose();
    }

    private void Work()
    {
        ThreadAffinity.Pin(Contenders.Cpus.Driver).OrThrow("sched_setaffinity");
        while (!_ended)
        {
            _injector?.Send(_burst);
            uint moved = Volatile.Read(ref _frames.Moved);
            if (moved - _seen > (uint)_frames.Count)
            {
                _seen = moved - (uint)_frames.Count;
            }

            for (; _seen != moved; _seen++)
            {
                Touch(new Span<byte>(_frames.Buffer(_seen), _copy.Length));
            }
        }
    }

    private void Touch(Span<byte> frame)
    {
        if (_injector is not null)
        {
            frame.CopyTo(_copy);
            return;
        }

        // What stands there already.
        frame[..CacheLine].CopyTo(_copy);
        _copy.AsSpan(0, CacheLine).CopyTo(frame);
    }
}
