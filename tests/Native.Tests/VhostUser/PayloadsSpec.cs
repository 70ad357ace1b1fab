using CsCheck;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.VhostUser;

namespace Ringmaster.Native.Tests.VhostUser;

public sealed class PayloadsSpec
{
    /// <summary>Reads a payload with TryRead; null when that fails.</summary>
    private delegate object? Reader(ReadOnlySpan<byte> bytes);

    private static readonly Gen<MemoryRegionLayout> Regions =
        Gen.Select(Gen.ULong, Gen.ULong, Gen.ULong, Gen.ULong).Select((a, b, c, d) => new MemoryRegionLayout(a, b, c, d));

    [Fact]
    public void What_is_written_is_what_is_read()
    {
        Gen.ULong.Sample(value => Same(new U64Payload(value), new U64Payload(value).ToBytes(), ReadU64));
        Gen.Select(Gen.UInt, Gen.UInt).Sample((a, b) => Same(new VringState(a, b), new VringState(a, b).ToBytes(), ReadState));
        Gen.Select(Gen.Byte, Gen.Bool).Sample((a, b) => Same(new VringFd(a, b), new VringFd(a, b).ToBytes(), ReadVringFd));
        Gen.Select(Gen.ULong, Gen.ULong).Sample((a, b) => Same(new LogPayload(a, b), new LogPayload(a, b).ToBytes(), ReadLog));
        Gen.Select(Gen.UInt, Gen.UInt)
            .Sample((a, b) => Same(new DeviceStatePayload(a, b), new DeviceStatePayload(a, b).ToBytes(), ReadDeviceState));
        Gen.Select(Gen.UInt, Gen.UInt, Gen.ULong, Gen.ULong, Gen.ULong, Gen.ULong)
            .Select((a, b, c, d, e, f) => new VringAddresses(a, b, c, d, e, f))
            .Sample(value => Same(value, value.ToBytes(), ReadAddresses));
        Gen.Select(Gen.ULong, Gen.ULong, Gen.UShort, Gen.UShort)
            .Select((a, b, c, d) => new InflightPayload(a, b, c, d))
            .Sample(value => Same(value, value.ToBytes(), ReadInflight));
        Gen.Select(Gen.ULong, Gen.ULong, Gen.ULong, Gen.Byte, Gen.Byte)
            .Select((a, b, c, d, e) => new IotlbPayload(a, b, c, (IotlbAccess)d, (IotlbType)e))
            .Sample(value => Same(value, value.ToBytes(), ReadIotlb));
        Regions.Select(region => new SingleMemoryRegion(region)).Sample(value => Same(value, value.ToBytes(), ReadRegion));
    }

    [Theory]
    [InlineData("u64", 8)]
    [InlineData("state", 8)]
    [InlineData("vring fd", 8)]
    [InlineData("addresses", 40)]
    [InlineData("log", 16)]
    [InlineData("device state", 8)]
    [InlineData("region", 40)]
    [InlineData("inflight", 24, 20)]
    [InlineData("iotlb", 32, 26)]
    public void Only_payloads_of_the_right_size_are_read(string kind, int size, int shorter = -1)
    {
        Reader read = kind switch
        {
            "u64" => ReadU64,
            "state" => ReadState,
            "vring fd" => ReadVringFd,
            "addresses" => ReadAddresses,
            "log" => ReadLog,
            "device state" => ReadDeviceState,
            "region" => ReadRegion,
            "inflight" => ReadInflight,
            _ => ReadIotlb,
        };
        int[] taken = [.. Enumerable.Range(0, 64).Where(length => read(new byte[length]) is not null)];
        Assert.Equal(shorter < 0 ? [size] : [shorter, size], taken);
    }

    [Fact]
    public void The_ring_of_an_fd_is_its_lowest_byte_and_bit_8_says_that_there_is_no_fd()
    {
        Assert.True(VringFd.TryRead(new U64Payload(0xffff_ffff_ffff_fe07).ToBytes(), out VringFd with));
        Assert.Equal(new VringFd(7, HasNoFd: false), with);
        Assert.True(VringFd.TryRead(new U64Payload(0x1ff).ToBytes(), out VringFd without));
        Assert.Equal(new VringFd(255, HasNoFd: true), without);
    }

    [Fact]
    public void A_memory_table_is_read_in_order()
    {
        Regions.Array[1, MemTable.MaxRegions].Sample(regions =>
        {
            Assert.True(MemTable.TryRead(MemTable.ToBytes(regions), out MemoryRegionLayout[] read, out string? error), error);
            Assert.Equal(regions, read);
        });
    }

    [Theory]
    [InlineData(0, 8, "1 to 32 regions, not 0")]
    [InlineData(33, 8 + (33 * 32), "1 to 32 regions, not 33")]
    [InlineData(uint.MaxValue, 40, "not 4294967295")]
    [InlineData(2, 40, "of 2 regions has 72 bytes, not 40")]
    [InlineData(1, 72, "of 1 regions has 40 bytes, not 72")]
    [InlineData(1, 7, "at least 8 bytes, not 7")]
    [InlineData(1, 0, "at least 8 bytes, not 0")]
    public void A_memory_table_whose_count_and_size_disagree_is_refused(uint count, int length, string reason)
    {
        byte[] bytes = new byte[length];
        BitConverter.GetBytes(count).AsSpan(0, Math.Min(4, length)).CopyTo(bytes);
        Assert.False(MemTable.TryRead(bytes, out MemoryRegionLayout[] regions, out string? error));
        Assert.Empty(regions);
        Assert.Contains(reason, error);
    }

    [Fact]
    public void A_single_region_stands_behind_eight_bytes_of_padding()
    {
        byte[] bytes = new SingleMemoryRegion(new MemoryRegionLayout(0x1122, 0x3344, 0x5566, 0x7788)).ToBytes();
        ulong[] words = [.. Enumerable.Range(0, 5).Select(i => BitConverter.ToUInt64(bytes, i * 8))];
        Assert.Equal([0UL, 0x1122UL, 0x3344UL, 0x5566UL, 0x7788UL], words);
    }

    [Fact]
    public void A_piece_of_the_configuration_space_is_read_as_written()
    {
        var payload = new ConfigPayload(10, 2, 1, new byte[] { 7, 8 });
        Assert.True(ConfigPayload.TryRead(payload.ToBytes(), out ConfigPayload read));
        Assert.Equal(payload, read);
        Assert.NotEqual(payload, read with { Bytes = new byte[] { 7, 9 } });
    }

    [Theory]
    [InlineData(0, 256, 256, true)]
    [InlineData(255, 1, 1, true)]
    [InlineData(256, 0, 0, true)]
    [InlineData(0, 257, 257, false)]
    [InlineData(255, 2, 2, false)]
    [InlineData(257, 0, 0, false)]
    [InlineData(uint.MaxValue, 2, 2, false)]
    [InlineData(0, uint.MaxValue, 2, false)]
    [InlineData(0, 3, 2, false)]
    [InlineData(0, 1, 2, false)]
    public void A_piece_must_lie_within_the_configuration_space_and_have_the_size_it_claims(
        uint offset,
        uint size,
        int bytes,
        bool taken)
    {
        byte[] payload = new ConfigPayload(offset, size, 0, new byte[bytes]).ToBytes();
        Assert.Equal(taken, ConfigPayload.TryRead(payload, out _));
    }

    [Fact]
    public void A_configuration_payload_shorter_than_its_header_is_refused() => Assert.All(
        Enumerable.Range(0, ConfigPayload.HeaderSize),
        length => Assert.False(ConfigPayload.TryRead(new byte[length], out _)));

    [Fact]
    public void The_header_is_read_as_written_and_needs_twelve_bytes()
    {
        Gen.Select(Gen.UInt, Gen.UInt, Gen.UInt).Select((a, b, c) => new MessageHeader(a, b, c)).Sample(header =>
        {
            byte[] bytes = new byte[MessageHeader.SizeInBytes];
            header.Write(bytes);
            Assert.True(MessageHeader.TryRead(bytes, out MessageHeader read));
            Assert.Equal(header, read);
            Assert.Equal((header.Flags & 3) == 1, header.HasKnownVersion);
            Assert.False(MessageHeader.TryRead(bytes.AsSpan(1), out _));
        });
    }

    [SkippableFact]
    public void The_layouts_are_those_of_the_kernels_structures()
    {
        CHeaders.Agree(
            ["linux/vhost.h", "linux/vhost_types.h"],
            ("sizeof(struct vhost_vring_state)", VringState.SizeInBytes),
            ("offsetof(struct vhost_vring_state, num)", 4),
            ("sizeof(struct vhost_vring_addr)", VringAddresses.SizeInBytes),
            ("offsetof(struct vhost_vring_addr, flags)", 4),
            ("offsetof(struct vhost_vring_addr, desc_user_addr)", 8),
            ("offsetof(struct vhost_vring_addr, used_user_addr)", 16),
            ("offsetof(struct vhost_vring_addr, avail_user_addr)", 24),
            ("offsetof(struct vhost_vring_addr, log_guest_addr)", 32),
            ("1 << VHOST_VRING_F_LOG", VringAddresses.LogFlag),
            ("sizeof(struct vhost_iotlb_msg)", IotlbPayload.SizeInBytes),
            ("offsetof(struct vhost_iotlb_msg, uaddr)", 16),
            ("offsetof(struct vhost_iotlb_msg, perm)", 24),
            ("offsetof(struct vhost_iotlb_msg, type)", 25),
            ("VHOST_ACCESS_RW", (long)IotlbAccess.ReadWrite),
            ("VHOST_IOTLB_MISS", (long)IotlbType.Miss),
            ("VHOST_IOTLB_UPDATE", (long)IotlbType.Update),
            ("VHOST_IOTLB_INVALIDATE", (long)IotlbType.Invalidate),
            ("VHOST_IOTLB_ACCESS_FAIL", (long)IotlbType.AccessFail));
    }

    private static void Same(object expected, byte[] bytes, Reader read) => Assert.Equal(expected, read(bytes));

    private static object? ReadU64(ReadOnlySpan<byte> bytes) => U64Payload.TryRead(bytes, out U64Payload value) ? value : null;

    private static object? ReadState(ReadOnlySpan<byte> bytes) => VringState.TryRead(bytes, out VringState value) ? value : null;

    private static object? ReadVringFd(ReadOnlySpan<byte> bytes) => VringFd.TryRead(bytes, out VringFd value) ? value : null;

    private static object? ReadAddresses(ReadOnlySpan<byte> bytes) =>
        VringAddresses.TryRead(bytes, out VringAddresses value) ? value : null;

    private static object? ReadLog(ReadOnlySpan<byte> bytes) => LogPayload.TryRead(bytes, out LogPayload value) ? value : null;

    private static object? ReadDeviceState(ReadOnlySpan<byte> bytes) =>
        DeviceStatePayload.TryRead(bytes, out DeviceStatePayload value) ? value : null;

    private static object? ReadInflight(ReadOnlySpan<byte> bytes) =>
        InflightPayload.TryRead(bytes, out InflightPayload value) ? value : null;

    private static object? ReadIotlb(ReadOnlySpan<byte> bytes) =>
        IotlbPayload.TryRead(bytes, out IotlbPayload value) ? value : null;

    private static object? ReadRegion(ReadOnlySpan<byte> bytes) =>
        SingleMemoryRegion.TryRead(bytes, out SingleMemoryRegion value) ? value : null;
}
