using BenchmarkDotNet.Attributes;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Bench.Micro;

/// <summary>The vhost-user messages that a start of a guest consists of.</summary>
[MemoryDiagnoser]
public class CodecBenchmarks
{
    private readonly byte[] _header = new byte[MessageHeader.SizeInBytes];
    private byte[] _table = [];

    [GlobalSetup]
    public void Fill()
    {
        new MessageHeader((uint)RequestCode.SetMemTable, MessageHeader.Version, 264).Write(_header);
        _table = MemTable.ToBytes([.. Enumerable.Range(0, 8).Select(Region)]);
    }

    [Benchmark]
    public uint ReadHeader() => MessageHeader.TryRead(_header, out MessageHeader header) ? header.Size : 0;

    [Benchmark]
    public void WriteHeader() => new MessageHeader((uint)RequestCode.SetMemTable, MessageHeader.Version, 264).Write(_header);

    [Benchmark]
    public int ReadMemoryTable() => MemTable.TryRead(_table, out MemoryRegionLayout[] regions, out _) ? regions.Length : 0;

    private static MemoryRegionLayout Region(int index) =>
        new((ulong)index << 30, 1UL << 30, 0x5500_0000_0000 + ((ulong)index << 30), 0);
}
