using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests.Matrix;

/// <summary>
/// Frames from the host's side of the TAP to a guest that sends every one of them back on the queue pair it came by. What is on
/// its way is bounded, so that no queue of the guest's or of the kernel's can overflow: whatever does not come back was lost by
/// the device.
/// </summary>
internal sealed class MirrorExchange(PacketSocket host)
{
    private const int Flows = 32;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);
    private int _sent;

    /// <summary>Order is by flow, for the kernel chooses a frame's queue by its flow.</summary>
    internal MatrixAccount Account { get; } = new("to the guest and back", Flows);

    /// <summary>Sends frames of one size; returns when all have come back.</summary>
    /// <param name="size">The frame's, in bytes.</param>
    /// <param name="frames">How many.</param>
    /// <param name="window">How many are on their way at most.</param>
    internal void Move(int size, int frames, int window)
    {
        for (int left = frames; left > 0; left--)
        {
            int number = _sent++;
            byte[] frame = MatrixFrame.Build(number, number % Flows, size);
            Account.Sent(number, frame);
            host.Send(frame, MatrixFrame.HeaderOf(size));
            ReceiveUntil(missing: window - 1, size);
        }

        ReceiveUntil(missing: 0, size);
    }

    private void ReceiveUntil(int missing, int size)
    {
        while (Account.Missing > missing)
        {
            byte[]? received = host.Receive(Timeout);
            Assert.True(
                received is not null, $"{Account.Missing} of {_sent} frames did not come back; the last have {size} bytes");
            ReadOnlySpan<byte> frame = PacketSocket.SplitHeader(received, out VirtioNetHeader header);
            if (MatrixFrame.TryRead(frame, out int number, out _, out _))
            {
                Account.Arrived(number % Flows, header, frame);
            }
        }
    }
}
