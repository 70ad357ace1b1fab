using Ringmaster.Native.Driver.Frames;

namespace Ringmaster.Native.Driver.Load;

/// <summary>Sends prepared buffers round and round.</summary>
internal sealed class TxLoad(NetQueuePair pair, LoadOptions options, Station guest, Station peer) : PairLoad(pair, options)
{
    internal override void Run(CancellationToken ended)
    {
        Prepare();
        Pair.Tx.DisableCalls();
        while (!ended.IsCancellationRequested)
        {
            int count = 0;
            while (count < Batch && Pair.TryRentSlot(out int slot))
            {
                if (!Pair.TrySendSlot(slot, Options.FrameSize))
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
        Sent = Pair.Tx.Returned;
    }

    private void Prepare()
    {
        Pair.Reclaim();
        var slots = new List<int>();
        while (Pair.TryRentSlot(out int slot))
        {
            // Ports differ from buffer to buffer, as flows do.
            int payload = Options.FrameSize - PacketWriter.DatagramPayload;
            PacketWriter.Udp(Pair.SlotBytes(slot), guest, peer, (ushort)(40000 + (slot % 16)), 9, payload);
            slots.Add(slot);
        }

        slots.ForEach(Pair.ReturnSlot);
    }
}
