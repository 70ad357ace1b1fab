using BenchmarkDotNet.Attributes;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Bench.Micro;

/// <summary>Transmit rings of 256, a batch of 64 chains at a time; the times are for one chain.</summary>
public class RingBenchmarks
{
    private RingEnds<SplitVirtqueue> _split = null!;
    private RingEnds<PackedVirtqueue> _packed = null!;
    private RingEnds<SplitVirtqueue> _splitExchange = null!;
    private RingEnds<PackedVirtqueue> _packedExchange = null!;

    [Params(ChainKind.Single, ChainKind.Direct, ChainKind.Indirect)]
    public ChainKind Kind { get; set; }

    [GlobalSetup]
    public void Open()
    {
        _split = new RingEnds<SplitVirtqueue>(packed: false, Kind);
        _packed = new RingEnds<PackedVirtqueue>(packed: true, Kind);
        _splitExchange = new RingEnds<SplitVirtqueue>(packed: false, Kind);
        _packedExchange = new RingEnds<PackedVirtqueue>(packed: true, Kind);
        _split.Offer();
        _packed.Offer();
    }

    [GlobalCleanup]
    public void Close()
    {
        _split.Dispose();
        _packed.Dispose();
        _splitExchange.Dispose();
        _packedExchange.Dispose();
    }

    [Benchmark(OperationsPerInvoke = RingEnds<SplitVirtqueue>.Batch)]
    public int WalkSplit() => _split.Walk();

    [Benchmark(OperationsPerInvoke = RingEnds<PackedVirtqueue>.Batch)]
    public int WalkPacked() => _packed.Walk();

    /// <summary>Also what the driver does: add, publish, collect.</summary>
    [Benchmark(OperationsPerInvoke = RingEnds<SplitVirtqueue>.Batch)]
    public int ExchangeSplit() => _splitExchange.Exchange();

    /// <inheritdoc cref="ExchangeSplit"/>
    [Benchmark(OperationsPerInvoke = RingEnds<PackedVirtqueue>.Batch)]
    public int ExchangePacked() => _packedExchange.Exchange();
}
