using Ringmaster.Native.Driver.Frames;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Driver.Load;

/// <summary>
/// Counts what comes. Where it is to send that itself, it does so on its own thread, a batch before each look at the ring: two
/// threads on one CPU would take turns of milliseconds, in which queues overflow.
/// </summary>
internal sealed class RxLoad(NetQueuePair pair, LoadOptions options, Station guest, Station peer) : PairLoad(pair, options)
{
    internal override void Run(CancellationToken ended)
    {
        using FrameInjector? injector = Options.Inject is { } name ? new FrameInjector(name, FrameToInject()) : null;
        int burst = BurstFor(Pair.FramesInRing(Options.FrameSize));
        Pair.Rx.DisableCalls();
        while (!ended.IsCancellationRequested)
        {
            injector?.Send(burst);
            if (Receive(2 * burst) == 0 && injector is null)
            {
                Rest(receive: true);
            }
        }
    }

    /// <summary>How many frames are sent at a time: no more than half of what the ring has room for.</summary>
    internal static int BurstFor(int framesInRing) => Math.Clamp(framesInRing / 2, 1, FrameInjector.MaxBurst);

    /// <summary>
    /// Takes what is there, and gives buffers back as it goes. More than was sent at a time, or a backlog would stay for ever and
    /// the device would always lack buffers; but not without end, or nothing would be sent.
    /// </summary>
    private int Receive(int most)
    {
        int count = 0;
        while (count < most && Pair.TryReceive(out _, out ReadOnlySpan<byte> frame))
        {
            ReceivedBytes += frame.Length;
            if (++count % Batch == 0)
            {
                Pair.FlushRx();
            }
        }

        Pair.FlushRx();
        Received += count;
        return count;
    }

    private byte[] FrameToInject()
    {
        byte[] frame = new byte[FrameInjector.HeaderSize + Options.FrameSize];
        VirtioNetHeader header = LoadFrame.Write(frame.AsSpan(FrameInjector.HeaderSize), Options, peer, guest, Pair.Index);
        FrameInjector.WriteHeader(frame, header);
        return frame;
    }
}
