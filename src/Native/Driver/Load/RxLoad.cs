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
        Pair.Rx.DisableCalls();
        while (!ended.IsCancellationRequested)
        {
            injector?.Send();
            int count = 0;
            while (count < Batch && Pair.TryReceive(out _, out ReadOnlySpan<byte> frame))
            {
                ReceivedBytes += frame.Length;
                count++;
            }

            Received += count;
            Pair.FlushRx();
            if (count == 0 && injector is null)
            {
                Rest(receive: true);
            }
        }
    }

    private byte[] FrameToInject()
    {
        byte[] frame = new byte[FrameInjector.HeaderSize + Options.FrameSize];
        VirtioNetHeader header = LoadFrame.Write(frame.AsSpan(FrameInjector.HeaderSize), Options, peer, guest, Pair.Index);
        FrameInjector.WriteHeader(frame, header);
        return frame;
    }
}
