using Ringmaster.Native.Driver.Frames;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Driver.Load;

/// <summary>Sends prepared buffers round and round.</summary>
internal sealed class TxLoad(NetQueuePair pair, LoadOptions options, Station guest, Station peer) : PairLoad(pair, options)
{
    internal override void Run(CancellationToken ended)
    {
        VirtioNetHeader header = Prepare();
        long before = Pair.Tx.Returned;
        Pair.Tx.DisableCalls();
        while (!ended.IsCancellationRequested)
        {
            int count = 0;
            while (count < Batch && Pair.TryRentSlot(out int slot))
            {
                if (!Pair.TrySendSlot(slot, Options.FrameSize, header))
                {
                    Pair.ReturnSlot(slot);
                    break;
                }

                count++;
            }

            Pair.FlushTx();
            if (count == 0)
            {
                Rest(receive: false);
            }

            // What somebody sends us meanwhile must not fill up the device's side.
            while (Pair.TryReceive(out _, out ReadOnlySpan<byte> _))
            {
                Received++;
            }

            Pair.FlushRx();
        }

        Pair.Reclaim();
        Sent = Pair.Tx.Returned - before;
    }

    private VirtioNetHeader Prepare()
    {
        VirtioNetHeader header = default;
        Pair.Reclaim();
        var slots = new List<int>();
        while (Pair.TryRentSlot(out int slot))
        {
            // Ports differ from buffer to buffer, as flows do.
            header = LoadFrame.Write(Pair.SlotBytes(slot), Options, guest, peer, slot % Options.Flows);
            slots.Add(slot);
        }

        slots.ForEach(Pair.ReturnSlot);
        return header;
    }
}
