using Ringmaster.Native.Driver;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Bench.Micro;

/// <summary>How the chains of a benchmark are made.</summary>
public enum ChainKind
{
    /// <summary>Header and frame in one descriptor.</summary>
    Single,

    /// <summary>Two descriptors on the ring.</summary>
    Direct,

    /// <summary>Two descriptors in a table of their own.</summary>
    Indirect,
}

/// <summary>A transmit ring with both its ends in this process: the driver's half, and what the worker has of it.</summary>
internal sealed class RingEnds<TRing> : IDisposable
    where TRing : struct, IVirtqueue<TRing>
{
    internal const int Size = 256;
    internal const int Batch = 64;

    private const int HeaderSize = VirtioNetHeader.Size;
    private const int FrameSize = 64;
    private const int Stride = 128;

    private readonly GuestRam _ram = new(GuestRamOptions.OfSize(2));
    private readonly GuestMemory _memory;
    private readonly VectorSpace _space = new(VectorSpace.MaxPerChain + (2 * Batch) + 1);
    private readonly Chain[] _chains = new Chain[Batch];
    private readonly RingBuffer[][] _buffers;
    private readonly DriverRing _driver;
    private readonly bool _indirect;
    private TRing _device;

    internal RingEnds(bool packed, ChainKind kind)
    {
        _indirect = kind == ChainKind.Indirect;
        _driver = DriverRing.Create(_ram, new DriverRingOptions { Size = Size, Packed = packed, IndirectEntries = 2 });
        _buffers = [.. Enumerable.Range(0, Batch).Select(_ => Cut(_ram.Allocate(Stride, Stride), kind))];
        _memory = GuestMemory.Map([.. _ram.Regions.Select((region, index) => (region, _ram.FileOf(index)))]);
        var plan = new RingPlan
        {
            Size = Size,
            DescriptorAddress = _ram.ToUser(_driver.Addresses.Descriptors),
            DriverAddress = _ram.ToUser(_driver.Addresses.Driver),
            DeviceAddress = _ram.ToUser(_driver.Addresses.Device),
            Base = _driver.Base,
            Features = VirtioFeatures.Version1 | VirtioFeatures.IndirectDesc
                | (packed ? VirtioFeatures.RingPacked : VirtioFeatures.None),
            Enabled = true,
        };
        string? problem = TRing.TryAttach(plan, new GuestView(_memory, Log: null), out _device);
        if (problem is not null)
        {
            throw new InvalidOperationException(problem);
        }
    }

    /// <summary>The driver makes a batch available.</summary>
    internal void Offer()
    {
        for (int i = 0; i < Batch; i++)
        {
            _driver.TryAdd(_buffers[i], i, _indirect);
        }

        _driver.Publish();
    }

    /// <summary>The device walks a batch, and leaves it as if never looked at.</summary>
    internal int Walk()
    {
        int slots = Pop();
        _device.Rewind(slots);
        return slots;
    }

    /// <summary>The device walks a batch, returns it and shows that; the driver takes it back.</summary>
    internal int Exchange()
    {
        Offer();
        Pop();
        _device.UseUnwritten(_chains);
        _device.Publish();
        int calls = _device.MustCall() ? 1 : 0;
        while (_driver.TryCollect(out _))
        {
            calls++;
        }

        return calls;
    }

    public void Dispose()
    {
        _space.Dispose();
        _memory.Release();
        _ram.Dispose();
    }

    private int Pop()
    {
        _space.Truncate(0);
        int slots = 0;
        for (int i = 0; i < Batch; i++)
        {
            if (_device.TryPop(_space, deviceWrites: false, out _chains[i]) != PopStatus.Popped)
            {
                throw new InvalidOperationException($"Chain {i} was not popped.");
            }

            slots += _chains[i].Slots;
        }

        return slots;
    }

    private static RingBuffer[] Cut(ulong address, ChainKind kind) => kind == ChainKind.Single
        ? [new RingBuffer(address, HeaderSize + FrameSize, Writable: false)]
        : [
            new RingBuffer(address, HeaderSize, Writable: false),
            new RingBuffer(address + HeaderSize, FrameSize, Writable: false),
        ];
}
