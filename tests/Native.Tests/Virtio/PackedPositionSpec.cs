using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tests.Virtio;

public sealed class PackedPositionSpec
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(32_768)]
    public void Every_position_has_one_16_bit_form_and_is_read_back_from_it(int size)
    {
        var seen = new HashSet<ushort>();
        for (int position = 0; position < 2 * size; position++)
        {
            ushort encoded = PackedPosition.Encode(position, size);
            Assert.True(seen.Add(encoded));
            Assert.True(PackedPosition.TryDecode(encoded, size, out int decoded));
            Assert.Equal(position, decoded);
        }

        Assert.Equal(0x8000, PackedPosition.Encode(0, size));
        Assert.Equal(0, PackedPosition.Encode(size, size));
    }

    [Theory]
    [InlineData(5)]
    [InlineData(0x8005)]
    [InlineData(0xffff)]
    public void A_slot_beyond_the_ring_is_not_read(ushort encoded) => Assert.False(PackedPosition.TryDecode(encoded, 5, out _));

    [Fact]
    public void Steps_ahead_and_back_undo_each_other_over_both_laps()
    {
        const int size = 3;
        for (int position = 0; position < 2 * size; position++)
        {
            for (int step = 0; step < 2 * size; step++)
            {
                int ahead = PackedPosition.Advance(position, step, size);
                Assert.Equal(position, PackedPosition.Rewind(ahead, step, size));
                Assert.Equal(step, PackedPosition.Distance(position, ahead, size));
            }
        }
    }
}
