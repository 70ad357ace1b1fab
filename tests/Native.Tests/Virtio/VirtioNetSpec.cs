using CsCheck;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Tests.Support;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio;

public sealed class VirtioNetSpec
{
    [Fact]
    public void A_header_is_read_as_written()
    {
        Gen.Select(Gen.Byte, Gen.Byte, Gen.UShort, Gen.UShort, Gen.UShort, Gen.UShort, Gen.UShort)
            .Select((a, b, c, d, e, f, g) => new VirtioNetHeader(a, b, c, d, e, f, g))
            .Sample(header =>
            {
                byte[] bytes = new byte[VirtioNetHeader.Size];
                header.Write(bytes);
                Assert.True(VirtioNetHeader.TryRead(bytes, out VirtioNetHeader read));
                Assert.Equal(header, read);
                Assert.Equal(header.Buffers, BitConverter.ToUInt16(bytes, VirtioNetHeader.BuffersOffset));
                Assert.False(VirtioNetHeader.TryRead(bytes.AsSpan(1), out _));
            });
    }

    [Fact]
    public void The_configuration_space_reads_as_zero_behind_its_end()
    {
        var config = new VirtioNetConfig(MacAddress.Parse("52:54:00:12:34:56"), VirtioNetConfig.LinkUp, 4, 1500);
        byte[] whole = new byte[64];
        Array.Fill(whole, (byte)0xee);
        config.Read(0, whole);
        Assert.Equal(
            "525400123456" + "0100" + "0400" + "DC05" + "FFFFFFFF" + "FF" + new string('0', 94),
            Convert.ToHexString(whole));

        byte[] piece = new byte[4];
        config.Read(8, piece);
        Assert.Equal("0400DC05", Convert.ToHexString(piece));
        config.Read(uint.MaxValue, piece);
        Assert.Equal("00000000", Convert.ToHexString(piece));
        config.Read(VirtioNetConfig.SizeInBytes - 2, piece);
        Assert.Equal("00000000", Convert.ToHexString(piece));
    }

    [SkippableFact]
    public void The_layouts_are_those_of_the_kernels_structures()
    {
        CHeaders.Agree(
            ["linux/virtio_net.h"],
            ("sizeof(struct virtio_net_hdr_v1)", VirtioNetHeader.Size),
            ("sizeof(struct virtio_net_hdr)", VirtioNetHeader.LegacySize),
            ("offsetof(struct virtio_net_hdr_v1, gso_type)", 1),
            ("offsetof(struct virtio_net_hdr_v1, hdr_len)", 2),
            ("offsetof(struct virtio_net_hdr_v1, gso_size)", 4),
            ("offsetof(struct virtio_net_hdr_v1, csum_start)", 6),
            ("offsetof(struct virtio_net_hdr_v1, csum_offset)", 8),
            ("offsetof(struct virtio_net_hdr_v1, num_buffers)", VirtioNetHeader.BuffersOffset),
            ("VIRTIO_NET_HDR_F_NEEDS_CSUM", VirtioNetHeader.FlagNeedsCsum),
            ("VIRTIO_NET_HDR_F_DATA_VALID", VirtioNetHeader.FlagDataValid),
            ("VIRTIO_NET_HDR_GSO_TCPV4", VirtioNetHeader.GsoTcp4),
            ("VIRTIO_NET_HDR_GSO_UDP", VirtioNetHeader.GsoUdp),
            ("VIRTIO_NET_HDR_GSO_TCPV6", VirtioNetHeader.GsoTcp6),
            ("VIRTIO_NET_HDR_GSO_ECN", VirtioNetHeader.GsoEcn),
            ("offsetof(struct virtio_net_config, status)", 6),
            ("offsetof(struct virtio_net_config, max_virtqueue_pairs)", 8),
            ("offsetof(struct virtio_net_config, mtu)", 10),
            ("offsetof(struct virtio_net_config, speed)", 12),
            ("offsetof(struct virtio_net_config, duplex)", 16),
            ("VIRTIO_NET_S_LINK_UP", VirtioNetConfig.LinkUp),
            ("VIRTIO_NET_S_ANNOUNCE", VirtioNetConfig.Announce));
    }
}
