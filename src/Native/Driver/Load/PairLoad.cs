using Ringmaster.Native.Driver.Frames;

namespace Ringmaster.Native.Driver.Load;

/// <summary>The load on one queue pair, on a thread of its own. Its numbers may be read when the thread has ended.</summary>
internal abstract class PairLoad(NetQueuePair pair, LoadOptions options)
{
    /// <summary>Frames between two looks at the ring's other end.</summary>
    protected const int Batch = 32;

    protected static readonly TimeSpan Nap = TimeSpan.FromMilliseconds(50);

    internal NetQueuePair Pair { get; } = pair;

    internal long Sent { get; private protected set; }

    internal long Received { get; private protected set; }

    internal long SentBytes => Sent * Options.FrameSize;

    internal long ReceivedBytes { get; private protected set; }

    internal long Lost { get; private protected set; }

    internal LatencyHistogram Times { get; } = new();

    protected LoadOptions Options { get; } = options;

    /// <summary>One load for each pair.</summary>
    internal static PairLoad[] CreateAll(IReadOnlyList<NetQueuePair> pairs, LoadOptions options, Station guest, Station peer)
    {
        var all = new PairLoad[pairs.Count];
        foreach (NetQueuePair pair in pairs)
        {
            all[pair.Index] = options.Mode switch
            {
                LoadMode.Tx => new TxLoad(pair, options, guest, peer),
                LoadMode.Rx => new RxLoad(pair, options, guest, peer),
                _ => new EchoLoad(pair, options, guest, peer, all),
            };
        }

        return all;
    }

    /// <summary>Waits until the other side is ready, as far as that can be known.</summary>
    internal virtual void WarmUp(CancellationToken ended)
    {
    }

    /// <summary>Works until told to end.</summary>
    internal abstract void Run(CancellationToken ended);

    protected void Rest(bool receive)
    {
        if (Options.Polling)
        {
            Thread.Yield();
        }
        else if (receive)
        {
            Pair.WaitRx(Nap);
        }
        else
        {
            Pair.WaitTx(Nap, Pair.Tx.Outstanding / 2);
        }
    }
}
