using Ringmaster.Native.Memory;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>An in-flight region as its bytes, written and read by the offsets of the specification alone.</summary>
internal sealed unsafe class InflightMemory(int queues, int size, RingFormat format) : IDisposable
{
    private readonly int _queues = queues;

    internal InflightRegion Region { get; } = InflightRegion.Create(queues, size, format == RingFormat.Packed);

    /// <summary>The bytes of all queues.</summary>
    internal Span<byte> Bytes => new(Queue(0), (int)InflightRegion.SizeOf(_queues, size, format == RingFormat.Packed));

    /// <summary>Writes a number of two bytes into queue 0.</summary>
    internal void Write16(int offset, int value) => *(ushort*)(Queue(0) + offset) = (ushort)value;

    /// <summary>Writes what a split ring's queue has of a chain.</summary>
    internal void WriteSplit(int head, bool inflight, ulong counter, int next = 0)
    {
        byte* state = Queue(0) + 16 + (16 * head);
        state[0] = inflight ? (byte)1 : (byte)0;
        *(ushort*)(state + 6) = (ushort)next;
        *(ulong*)(state + 8) = counter;
    }

    /// <summary>Writes what a packed ring's queue has of a descriptor.</summary>
    internal void WritePacked(int index, int next, in PackedState state)
    {
        byte* at = Queue(0) + 32 + (32 * index);
        at[0] = state.Inflight ? (byte)1 : (byte)0;
        *(ushort*)(at + 2) = (ushort)next;
        *(ushort*)(at + 4) = state.Last;
        *(ushort*)(at + 6) = state.Count;
        *(ulong*)(at + 8) = state.Counter;
        *(ushort*)(at + 16) = state.Id;
        *(ushort*)(at + 18) = state.Flags;
        *(uint*)(at + 20) = state.Length;
        *(ulong*)(at + 24) = state.Address;
    }

    /// <summary>The heads that are marked in queue 0.</summary>
    internal static List<int> Marked(InflightRegion region, RingPlan plan)
    {
        bool packed = plan.Features.HasFlag(VirtioFeatures.RingPacked);
        byte* queue = region.QueueOf(0, plan.Size, packed, out string? problem);
        Assert.Null(problem);
        int entry = packed ? 32 : 16;
        return [.. Enumerable.Range(0, plan.Size).Where(i => queue[entry + (entry * i)] != 0)];
    }

    public void Dispose() => Region.Release();

    private byte* Queue(int index) => Region.QueueOf(index, size, format == RingFormat.Packed, out _);
}

/// <summary>DescStatePacked, but for the link.</summary>
internal readonly record struct PackedState(
    bool Inflight, ushort Last, ushort Count, ulong Counter, ushort Id, ushort Flags, uint Length, ulong Address);
