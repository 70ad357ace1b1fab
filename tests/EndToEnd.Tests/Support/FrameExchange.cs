using Ringmaster.Native.Driver;

namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>Frames between our own guest's half and the TAP, each of which must arrive once, unchanged.</summary>
internal static class FrameExchange
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    /// <summary>Sends frames both ways, over all pairs, a window at a time.</summary>
    /// <param name="driver">Started.</param>
    /// <param name="host">The TAP's end.</param>
    /// <param name="frames">How many each way.</param>
    /// <param name="window">How many are on their way at a time.</param>
    internal static void Run(VirtioNetDriver driver, PacketSocket host, int frames, int window = 16)
    {
        for (int first = 0; first < frames; first += window)
        {
            int count = Math.Min(window, frames - first);
            ToHost(driver, host, first, count);
            ToGuest(driver, host, first, count);
        }
    }

    private static void ToHost(VirtioNetDriver driver, PacketSocket host, int first, int count)
    {
        HashSet<int> missing = [.. Enumerable.Range(first, count)];
        foreach (int number in missing)
        {
            NetQueuePair pair = driver.Pairs[number % driver.Pairs.Count];
            Assert.True(pair.TrySend(Frame(number)));
            pair.FlushTx();
        }

        while (missing.Count > 0)
        {
            byte[]? frame = host.Receive(Timeout);
            Assert.True(frame is not null, $"{missing.Count} frames did not arrive at the TAP");
            Check(frame, missing);
        }
    }

    private static void ToGuest(VirtioNetDriver driver, PacketSocket host, int first, int count)
    {
        HashSet<int> missing = [.. Enumerable.Range(first, count)];
        foreach (int number in missing)
        {
            host.Send(Frame(number));
        }

        DateTime deadline = DateTime.UtcNow + Timeout;
        while (missing.Count > 0)
        {
            driver.WaitRx(TimeSpan.FromMilliseconds(100));
            foreach (NetQueuePair pair in driver.Pairs)
            {
                while (pair.TryReceive(out _, out ReadOnlySpan<byte> frame))
                {
                    Check(frame, missing);
                }

                pair.FlushRx();
            }

            Assert.True(DateTime.UtcNow < deadline, $"{missing.Count} frames did not arrive in the guest");
        }
    }

    private static void Check(ReadOnlySpan<byte> frame, HashSet<int> missing)
    {
        // Another sender's frame (the kernel's own) has no number.
        if (TestFrame.NumberOf(frame) is { } number)
        {
            Assert.True(missing.Remove(number), $"frame {number} came twice, or was not sent");
            Assert.True(frame.SequenceEqual(Frame(number)), $"frame {number} is not as it was sent");
        }
    }

    private static byte[] Frame(int number) => TestFrame.Build(number, TestFrame.MinimumSize + (number * 37 % 1400));
}
