using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests.Matrix;

/// <summary>
/// Frames of one size after the other, both ways, between our own driver and the TAP. What is on its way is bounded, so that
/// no queue of the kernel's can overflow: whatever does not arrive was lost by the device.
/// </summary>
internal sealed class MatrixExchange(VirtioNetDriver driver, PacketSocket host)
{
    private const int Flows = 32;
    private const int Window = 32;
    private const int LongWindow = 4;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);
    private int _toHost;
    private int _toGuest;

    internal MatrixAccount ToHost { get; } = new("guest to host", driver.Pairs.Count);

    internal MatrixAccount ToGuest { get; } = new("host to guest", driver.Pairs.Count);

    /// <summary>Moves frames of one size, as many each way.</summary>
    internal void Move(int size, int frames)
    {
        int window = size > MatrixFrame.LargestPlain ? LongWindow : Window;
        for (int first = 0; first < frames; first += window)
        {
            int count = Math.Min(window, frames - first);
            MoveToHost(size, count);
            MoveToGuest(size, count);
        }
    }

    private void MoveToHost(int size, int count)
    {
        for (int i = 0; i < count; i++)
        {
            int number = _toHost++;
            byte[] frame = MatrixFrame.Build(number, 1000 + number % Flows, size);
            ToHost.Sent(number, frame);
            Send(driver.Pairs[number % driver.Pairs.Count], frame);
        }

        foreach (NetQueuePair pair in driver.Pairs)
        {
            pair.FlushTx();
        }

        while (ToHost.Missing > 0)
        {
            byte[]? received = host.Receive(Timeout);
            Assert.True(received is not null, $"guest to host: {ToHost.Missing} frames of {size} bytes did not arrive");
            ReadOnlySpan<byte> frame = PacketSocket.SplitHeader(received, out VirtioNetHeader header);
            if (MatrixFrame.TryRead(frame, out int number, out _, out _))
            {
                ToHost.Arrived(number % driver.Pairs.Count, header, frame);
            }
        }
    }

    private static void Send(NetQueuePair pair, byte[] frame)
    {
        DateTime deadline = DateTime.UtcNow + Timeout;
        while (!pair.TrySend(frame, MatrixFrame.HeaderOf(frame.Length)))
        {
            pair.FlushTx();
            pair.WaitTx(TimeSpan.FromMilliseconds(100));
            Assert.True(DateTime.UtcNow < deadline, $"pair {pair.Index} takes no more frames of {frame.Length} bytes");
        }
    }

    private void MoveToGuest(int size, int count)
    {
        for (int i = 0; i < count; i++)
        {
            int number = _toGuest++;
            byte[] frame = MatrixFrame.Build(number, number % Flows, size);
            ToGuest.Sent(number, frame);
            host.Send(frame, MatrixFrame.HeaderOf(size));
        }

        DateTime deadline = DateTime.UtcNow + Timeout;
        while (ToGuest.Missing > 0)
        {
            driver.WaitRx(TimeSpan.FromMilliseconds(100));
            foreach (NetQueuePair pair in driver.Pairs)
            {
                while (pair.TryReceive(out VirtioNetHeader header, out ReadOnlySpan<byte> frame))
                {
                    ToGuest.Arrived(pair.Index, header, frame);
                }

                pair.FlushRx();
            }

            Assert.True(DateTime.UtcNow < deadline, $"host to guest: {ToGuest.Missing} frames of {size} bytes did not arrive");
        }
    }
}
