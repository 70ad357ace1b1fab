using Ringmaster.Native.Driver;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;

namespace Ringmaster.Native.Tests.Driver;

public sealed class GuestRamSpec
{
    private static readonly RamPiece[] Split = [new(0, 1 << 20), new(1 << 20, 1 << 20), new(1ul << 32, 1 << 20)];

    [Fact]
    public void A_window_spans_adjacent_regions()
    {
        using var ram = new GuestRam(new GuestRamOptions { Pieces = Split });
        ram.Bytes((1 << 20) - 4, 8).Fill(7);
        Assert.Equal(0x0707, ram.ReadU16((1 << 20) - 2));
        Assert.Equal(0x0707, ram.ReadU16(1 << 20));
    }

    [Fact]
    public void A_window_does_not_span_a_hole()
    {
        using var ram = new GuestRam(new GuestRamOptions { Pieces = Split });
        Assert.Throws<ArgumentOutOfRangeException>(() => ram.Bytes((2 << 20) - 4, 8).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => ram.ReadU16(3 << 20));
    }

    [Fact]
    public void Regions_of_one_file_lie_one_after_the_other_in_it()
    {
        using var ram = new GuestRam(new GuestRamOptions { Pieces = Split, OneFile = true, LeadingBytes = 8192 });
        Assert.Equal([8192ul, 8192ul + (1 << 20), 8192ul + (2 << 20)], ram.Regions.Select(region => region.MmapOffset));
        Assert.Same(ram.FileOf(0), ram.FileOf(2));
        ram.WriteU64(1ul << 32, 99);
        using var view = new GuestRamFile(ram.FileOf(0));
        Assert.Equal(99ul, view.ReadU64((long)ram.Regions[2].MmapOffset));
    }

    [Fact]
    public void User_addresses_follow_the_offset()
    {
        using var ram = new GuestRam(new GuestRamOptions { Pieces = Split, UserOffset = 0x1000_0000 });
        Assert.Equal(0x1000_0010ul, ram.ToUser(0x10));
        Assert.Equal(new MemoryRegionLayout(1ul << 32, 1 << 20, 0x1_1000_0000, 0), ram.Regions[2]);
    }

    [Fact]
    public void Allocations_are_aligned_do_not_overlap_and_end_with_the_region()
    {
        using var ram = new GuestRam(GuestRamOptions.OfSize(1));
        Assert.Equal(0ul, ram.Allocate(10));
        Assert.Equal(4096ul, ram.Allocate(1, 4096));
        Assert.Equal((1ul << 20) - 4097, ram.Unallocated());
        Assert.Throws<InvalidOperationException>(() => ram.Allocate(1 << 20));
    }

    [Fact]
    public void A_memfd_can_be_cut_unless_it_is_sealed_against_it()
    {
        using var ram = new GuestRam(GuestRamOptions.OfSize(2));
        Assert.True(ram.Shrink(0, 1 << 20).Ok);
        ram.Seal(0, 2);
        Assert.Equal(2, ram.SealsOf(0));
        Assert.Equal(Errno.EPERM, ram.Shrink(0, 0).Error);
    }

    [Fact]
    public void A_memfd_without_leave_to_seal_is_sealed_against_seals()
    {
        using var ram = new GuestRam(new GuestRamOptions { Sealable = false });
        Assert.Equal(1, ram.SealsOf(0));
    }

    private sealed class GuestRamFile(OwnedFd fd) : IDisposable
    {
        private readonly FdLease _lease = fd.Lease();

        internal ulong ReadU64(long offset)
        {
            using FileStream stream = File.OpenRead($"/proc/self/fd/{_lease.Number}");
            stream.Position = offset;
            return new BinaryReader(stream).ReadUInt64();
        }

        public void Dispose() => _lease.Dispose();
    }
}
