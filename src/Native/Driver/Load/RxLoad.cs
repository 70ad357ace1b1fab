namespace Ringmaster.Native.Driver.Load;

/// <summary>Counts what comes.</summary>
internal sealed class RxLoad(NetQueuePair pair, LoadOptions options) : PairLoad(pair, options)
{
    internal override void Run(CancellationToken ended)
    {
        Pair.Rx.DisableCalls();
        while (!ended.IsCancellationRequested)
        {
            int count = 0;
            while (count < Batch && Pair.TryReceive(out _, out ReadOnlySpan<byte> frame))
            {
                ReceivedBytes += frame.Length;
                count++;
            }

            Received += count;
            Pair.FlushRx();
            if (count == 0)
            {
                Rest(receive: true);
            }
        }
    }
}
