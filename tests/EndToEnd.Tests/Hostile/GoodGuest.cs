using System.Diagnostics;
using Ringmaster.EndToEnd.Tests.Support;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Virtio;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>A guest that keeps to the rules. It is how the tests see whether the back-end still does its work.</summary>
internal static class GoodGuest
{
    internal const int FrameSize = 100;
    private const int Frames = 8;
    private static readonly TimeSpan Nap = TimeSpan.FromMilliseconds(100);

    /// <summary>Connects, moves frames both ways on both pairs, checks that each arrives unchanged, and leaves.</summary>
    internal static void ExchangeFrames(HostileBackend backend)
    {
        VirtioNetOptions options = new() { Pairs = 2, QueueSize = 64, TransmitBufferSize = 2048 };
        using VirtioNetDriver driver = backend.Connect(options);
        ExchangeFrames(backend, driver);
    }

    /// <summary>Moves frames both ways on all pairs of a guest that is connected.</summary>
    internal static void ExchangeFrames(HostileBackend backend, VirtioNetDriver driver)
    {
        backend.ForgetFrames();
        for (int i = 0; i < Frames; i++)
        {
            Send(backend, driver.Pairs[i % driver.Pairs.Count]);
        }

        Receive(backend, driver, Frames);
    }

    /// <summary>Sends one frame on a pair and sees it arrive at the host.</summary>
    internal static void Send(HostileBackend backend, NetQueuePair pair)
    {
        int number = HostileBackend.NextFrame();
        Assert.True(pair.TrySend(TestFrame.Build(number, FrameSize)), "the transmit ring is full");
        pair.FlushTx();
        ExpectAtHost(backend, number);
    }

    /// <summary>The host gets this frame, unchanged. Other frames before it are passed over.</summary>
    internal static void ExpectAtHost(HostileBackend backend, int number, int size = FrameSize)
    {
        byte[]? frame;
        do
        {
            frame = backend.Host.Receive(HostileBackend.Patience);
            Assert.True(frame is not null, $"frame {number} did not arrive at the host");
        }
        while (TestFrame.NumberOf(frame) != number);
        Assert.Equal(TestFrame.Build(number, size), frame);
    }

    /// <summary>The host sends frames, and the guest gets them, unchanged, on whichever pairs.</summary>
    internal static void Receive(HostileBackend backend, VirtioNetDriver driver, int frames)
    {
        HashSet<int> missing = [];
        for (int i = 0; i < frames; i++)
        {
            int number = HostileBackend.NextFrame();
            missing.Add(number);
            backend.Host.Send(TestFrame.Build(number, FrameSize));
        }

        long start = Stopwatch.GetTimestamp();
        while (missing.Count > 0)
        {
            Assert.True(
                Stopwatch.GetElapsedTime(start) < HostileBackend.Patience, $"{missing.Count} frames did not arrive in the guest");
            driver.WaitRx(Nap);
            foreach (NetQueuePair pair in driver.Pairs)
            {
                Take(pair, missing);
            }
        }
    }

    private static void Take(NetQueuePair pair, HashSet<int> missing)
    {
        while (pair.TryReceive(out VirtioNetHeader header, out ReadOnlySpan<byte> frame))
        {
            if (TestFrame.NumberOf(frame) is { } number && missing.Remove(number))
            {
                Assert.Equal(TestFrame.Build(number, FrameSize), frame.ToArray());
                Assert.Equal(1, header.Buffers);
            }
        }

        pair.FlushRx();
    }
}
