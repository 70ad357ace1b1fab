using BenchmarkDotNet.Attributes;
using Ringmaster.Native.Driver;
using Ringmaster.Native.Memory;

namespace Ringmaster.Bench.Micro;

/// <summary>Guest address to pointer, by the number of regions in the table.</summary>
public unsafe class TranslationBenchmarks
{
    private const ulong RegionSize = 2 << 20;
    private const int Addresses = 1024;

    private readonly ulong[] _near = new ulong[Addresses];
    private readonly ulong[] _far = new ulong[Addresses];
    private GuestRam _ram = null!;
    private GuestMemory _memory = null!;
    private TranslationCache _cache;

    [Params(1, 8, 64)]
    public int Regions { get; set; }

    [GlobalSetup]
    public void Open()
    {
        // A hole behind each region, so that no two are one.
        var pieces = Enumerable.Range(0, Regions).Select(index => new RamPiece((ulong)index * 2 * RegionSize, RegionSize));
        _ram = new GuestRam(new GuestRamOptions { Pieces = [.. pieces] });
        _memory = GuestMemory.Map([.. _ram.Regions.Select((region, index) => (region, _ram.FileOf(index)))]);
        _cache = new TranslationCache(_memory);
        for (int i = 0; i < Addresses; i++)
        {
            ulong offset = (ulong)i * 1999 % RegionSize;
            _near[i] = offset;
            _far[i] = ((ulong)(i % Regions) * 2 * RegionSize) + offset;
        }
    }

    [GlobalCleanup]
    public void Close()
    {
        _memory.Release();
        _ram.Dispose();
    }

    /// <summary>All in one region, as a guest's buffers mostly are.</summary>
    [Benchmark(OperationsPerInvoke = Addresses)]
    public ulong SameRegion() => TranslateAll(_near);

    /// <summary>Each in another region than the one before: the cache never hits.</summary>
    [Benchmark(OperationsPerInvoke = Addresses)]
    public ulong OtherRegion() => TranslateAll(_far);

    private ulong TranslateAll(ulong[] addresses)
    {
        ulong sum = 0;
        foreach (ulong address in addresses)
        {
            _cache.TryTranslate(address, 64, out byte* host, out ulong available);
            sum += (ulong)host + available;
        }

        return sum;
    }
}
