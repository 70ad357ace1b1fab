using System.Reflection;
using System.Runtime.InteropServices;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Virtio.Support;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>The in-flight region lies in memory as the vhost-user specification, DPDK and libvhost-user have it.</summary>
public sealed unsafe class InflightLayoutSpec
{
    [Theory]
    [InlineData(typeof(SplitQueueRegion), 16, "Features 0 Version 8 DescriptorCount 10 LastBatchHead 12 UsedIndex 14")]
    [InlineData(typeof(SplitDescriptorState), 16, "Inflight 0 Next 6 Counter 8")]
    [InlineData(
        typeof(PackedQueueRegion),
        32,
        "Features 0 Version 8 DescriptorCount 10 FreeHead 12 OldFreeHead 14 UsedIndex 16 OldUsedIndex 18 "
        + "UsedWrap 20 OldUsedWrap 21 Used 16")]
    [InlineData(
        typeof(PackedDescriptorState),
        32,
        "Inflight 0 Next 2 Last 4 Count 6 Counter 8 Id 16 Flags 18 Length 20 Address 24")]
    public void Every_field_lies_where_the_specification_has_it(Type type, int size, string offsets)
    {
        string[] words = offsets.Split(' ');
        for (int i = 0; i < words.Length; i += 2)
        {
            Assert.Equal((words[i], int.Parse(words[i + 1])), (words[i], (int)Marshal.OffsetOf(type, words[i])));
        }

        Assert.Equal(size, Marshal.SizeOf(type));
        Assert.Equal(words.Length / 2, type.GetFields(BindingFlags.Instance | BindingFlags.NonPublic).Length);
    }

    /// <summary>DPDK 22.11 rounds 16n + 16 up to 64 for split rings, 32n + 29 for packed ones; libvhost-user 16n + 2.</summary>
    [Fact]
    public void Queues_are_as_far_apart_as_in_other_back_ends()
    {
        for (ulong n = 1; n <= 32_768; n++)
        {
            Assert.Equal(RoundUp((16 * n) + 16), InflightRegion.SizeOf(1, (int)n, packed: false));
            Assert.Equal(RoundUp((16 * n) + 2), InflightRegion.SizeOf(1, (int)n, packed: false));
            Assert.Equal(RoundUp((32 * n) + 29), InflightRegion.SizeOf(1, (int)n, packed: true));
        }

        Assert.Equal(7 * 4160UL, InflightRegion.SizeOf(7, 256, packed: false));
    }

    [Theory]
    [InlineData(RingFormat.Split)]
    [InlineData(RingFormat.Packed)]
    public void A_queue_is_found_by_the_number_of_its_ring(RingFormat format)
    {
        bool packed = format == RingFormat.Packed;
        using var memory = new InflightMemory(3, 100, format);
        byte* first = memory.Region.QueueOf(0, 100, packed, out _);

        Assert.Equal(2 * InflightRegion.SizeOf(1, 100, packed), (ulong)(memory.Region.QueueOf(2, 64, packed, out _) - first));
        Assert.True(memory.Region.QueueOf(3, 64, packed, out string? none) == null);
        Assert.Null(none);
        Assert.True(memory.Region.QueueOf(0, 101, packed, out string? tooLong) == null);
        Assert.NotNull(tooLong);
    }

    [Fact]
    public void A_region_for_split_rings_is_none_for_packed_ones()
    {
        using var memory = new InflightMemory(2, 64, RingFormat.Split);

        Assert.True(memory.Region.QueueOf(0, 64, packed: true, out string? problem) == null);
        Assert.Equal("the in-flight region is for rings of the other format", problem);
    }

    private static ulong RoundUp(ulong bytes) => (bytes + 63) / 64 * 64;
}
