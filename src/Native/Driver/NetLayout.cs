using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Driver;

/// <summary>What follows from the options and the acknowledged features, once.</summary>
internal sealed record NetLayout
{
    private const int LeastMergeable = 2048;
    private const int MostMergeable = 4096;

    internal NetLayout(VirtioNetOptions options, VirtioFeatures features)
    {
        Mergeable = features.HasFlag(VirtioFeatures.MrgRxbuf);
        HeaderSize = Mergeable || features.HasFlag(VirtioFeatures.Version1) ? VirtioNetHeader.Size : VirtioNetHeader.LegacySize;
        bool large = (features & VirtioNetOptions.LargeReceive) != 0;
        int longest = (large ? VirtioNetOptions.LargestFrame : 1518) + HeaderSize;
        int receive = Mergeable ? Math.Clamp(options.ExpectedFrame + HeaderSize, LeastMergeable, MostMergeable) : longest;
        ReceiveSize = options.ReceiveBufferSize != 0 ? options.ReceiveBufferSize : receive;
        TransmitSize = options.TransmitBufferSize != 0 ? options.TransmitBufferSize : VirtioNetOptions.LargestFrame + HeaderSize;
        Indirect = options.Indirect && features.HasFlag(VirtioFeatures.IndirectDesc);
        Ring = new DriverRingOptions
        {
            Size = options.QueueSize,
            Packed = features.HasFlag(VirtioFeatures.RingPacked),
            EventIdx = features.HasFlag(VirtioFeatures.EventIdx),
            InOrder = features.HasFlag(VirtioFeatures.InOrder),
            IndirectEntries = Indirect ? Math.Max(options.TransmitCuts.Count + 1, options.ReceivePieces) : 0,
        };
    }

    internal bool Mergeable { get; }

    internal int HeaderSize { get; }

    internal int ReceiveSize { get; }

    internal int TransmitSize { get; }

    internal bool Indirect { get; }

    internal DriverRingOptions Ring { get; }

    internal int ReceiveStride => RoundUp(ReceiveSize, 64);

    internal int TransmitStride => RoundUp(TransmitSize, 64);

    /// <summary>Bytes of memory that so many pairs take.</summary>
    internal ulong RamFor(VirtioNetOptions options)
    {
        ulong buffers = (ulong)options.QueueSize * (ulong)(ReceiveStride + TransmitStride);
        ulong rings = (ulong)options.QueueSize * (ulong)(2 * (32 + (Ring.IndirectEntries * 16))) * 16;
        ulong bytes = (ulong)options.Pairs * (buffers + rings + (64 << 10));
        return (bytes + (4 << 20)) & ~((2UL << 20) - 1);
    }

    private static int RoundUp(int size, int to) => (size + to - 1) / to * to;
}
