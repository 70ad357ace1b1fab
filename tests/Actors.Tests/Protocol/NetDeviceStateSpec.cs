using System.Buffers.Binary;
using System.Numerics;
using CsCheck;
using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Tap;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>A card's saved state: what is written is read back, and nothing else is taken.</summary>
public sealed class NetDeviceStateSpec
{
    private const int Samples = 2000;
    private const ushort NetworkCard = 1;

    private static readonly NetDeviceState Full = new(
        9000, MacAddress.Parse("02:00:00:00:00:09"), true, CounterTable.Of(2, (pair, counter) => pair + (int)counter));

    private static readonly Gen<NetDeviceState> Any = Gen.Select(
        Gen.Int[68, 65535].Nullable(),
        Gen.Byte.Array[MacAddress.Size].Select(bytes => new MacAddress(bytes)).Nullable(),
        Gen.Bool,
        Gen.Long[0, long.MaxValue].Array[0, 8].Select(counted => CounterTable.Of(counted.Length, (pair, _) => counted[pair])),
        (mtu, mac, held, counters) => new NetDeviceState(mtu, mac, held, counters));

    [Fact]
    public void What_was_saved_is_loaded() => Any.Sample(
        state => NetDeviceState.TryRead(state.ToBytes(), out NetDeviceState read) is null && read == state, iter: Samples);

    [Fact]
    public void The_form_is_as_documented() => Assert.Equal(
        "524E474D53544154" + "0100" + "0100" + "37000000"
        + "0100" + "0000" + "04000000" + "28230000"
        + "0200" + "0000" + "06000000" + "020000000009"
        + "0300" + "0000" + "01000000" + "01",
        Convert.ToHexString((Full with { Counters = null }).ToBytes()[..^4]));

    [Fact]
    public void A_reader_may_leave_the_counters_out()
    {
        byte[] bytes = Full.ToBytes();
        int section = (Full with { Counters = null }).ToBytes().Length - sizeof(uint);

        Assert.Equal((4, 1), (BitConverter.ToUInt16(bytes, section), BitConverter.ToUInt16(bytes, section + 2)));
        Assert.Equal(Full.Counters!.ToBytes(), bytes[(section + 8)..^sizeof(uint)]);
    }

    /// <summary>The check value of CRC-32C is that of "123456789" in every catalogue of checksums.</summary>
    [Fact]
    public void The_checksum_is_the_well_known_one()
    {
        uint crc = uint.MaxValue;
        foreach (byte digit in "123456789"u8)
        {
            crc = BitOperations.Crc32C(crc, digit);
        }

        Assert.Equal(0xE306_9283, ~crc);
        Assert.Equal(Sealed(Full.ToBytes()), Full.ToBytes());
    }

    [Fact]
    public void A_state_that_is_cut_off_or_goes_on_is_refused()
    {
        byte[] whole = Full.ToBytes();
        Assert.All(Enumerable.Range(0, whole.Length), length => AssertRefused(whole[..length]));
        AssertRefused([.. whole, 0]);
        AssertRefused(Sealed([.. whole, 0]));
    }

    [Fact]
    public void A_state_in_which_a_single_bit_is_another_is_refused()
    {
        byte[] whole = Full.ToBytes();
        for (int bit = 0; bit < 8 * whole.Length; bit++)
        {
            byte[] flipped = [.. whole];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            AssertRefused(flipped);
        }
    }

    [Theory]
    [InlineData(0, "not the state")]
    [InlineData(8, "version 2")]
    [InlineData(10, "kind 2")]
    public void Another_magic_version_or_kind_is_refused_by_name(int offset, string reason)
    {
        byte[] bytes = Full.ToBytes();
        bytes[offset] = 2;

        Assert.Contains(reason, NetDeviceState.TryRead(Sealed(bytes), out _));
    }

    [Fact]
    public void A_section_of_the_future_is_refused_unless_it_may_be_left_out()
    {
        Assert.NotNull(Read(new StateSection(5, Optional: false, new byte[3])));
        Assert.Null(Read(new StateSection(5, Optional: true, new byte[3])));
        Assert.Null(Read(new StateSection(5, Optional: true, default)));
    }

    [Fact]
    public void A_section_that_makes_no_sense_is_refused()
    {
        StateSection link = new(3, false, new byte[1]);
        Assert.NotNull(Read(link, link));
        Assert.NotNull(Read(link with { Bytes = new byte[] { 2 } }));
        Assert.NotNull(Read(link with { Bytes = new byte[2] }));
        Assert.NotNull(Read(link with { Bytes = new byte[2], Optional = true }));
        Assert.NotNull(Read(new StateSection(1, false, new byte[] { 67, 0, 0, 0 })));
        Assert.NotNull(Read(new StateSection(1, false, new byte[] { 0, 0, 1, 0 })));
        Assert.NotNull(Read(new StateSection(1, false, new byte[] { 255, 255, 255, 255 })));
        Assert.NotNull(Read(new StateSection(2, false, new byte[5])));
        Assert.NotNull(Read(new StateSection(4, true, default)));
        Assert.Null(Read(link));
    }

    [Theory]
    [InlineData(1, "section 1: 67 is no MTU", (byte)67, (byte)0, (byte)0, (byte)0)]
    [InlineData(2, "section 2: 4 bytes are not its size", (byte)2, (byte)0, (byte)0, (byte)0)]
    [InlineData(3, "section 3: the link cannot be 7", (byte)7)]
    [InlineData(4, "section 4: the name of counter 0 is cut off", (byte)1, (byte)9, (byte)'r', (byte)'x')]
    [InlineData(5, "section 5: it is not known", (byte)0)]
    public void A_refusal_names_the_section_and_what_is_wrong_with_it(int tag, string reason, params byte[] content) =>
        Assert.StartsWith(reason, Read(new StateSection((ushort)tag, false, content)));

    [Fact]
    public void Random_bytes_are_refused() =>
        Gen.Byte.Array[0, 200].Sample(bytes => NetDeviceState.TryRead(bytes, out _) is not null, iter: Samples);

    /// <summary>The frame is right and its checksum as well, as a hostile front-end can make it.</summary>
    [Fact]
    public void Random_sections_in_a_right_frame_throw_nothing_and_give_nothing_that_makes_no_sense() =>
        Gen.Select(Gen.Byte[0, 5].Array[0, 60], Gen.Byte.Array[0, 8]).Sample(
            (small, any) =>
            {
                byte[] frame = DeviceStateFormat.Write(NetworkCard, []);
                byte[] bytes = [.. frame[..^4], .. small, .. any, .. frame[^4..]];
                BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), (uint)bytes.Length);
                string? refusal = NetDeviceState.TryRead(Sealed(bytes), out NetDeviceState read);
                return refusal is null ? read.Mtu is null or (>= 68 and <= 65535) : read == default;
            },
            iter: Samples);

    private static string? Read(params StateSection[] sections) =>
        NetDeviceState.TryRead(DeviceStateFormat.Write(NetworkCard, [.. sections]), out _);

    private static void AssertRefused(byte[] bytes)
    {
        Assert.NotNull(NetDeviceState.TryRead(bytes, out NetDeviceState read));
        Assert.Equal(default, read);
    }

    private static byte[] Sealed(byte[] bytes)
    {
        byte[] copy = [.. bytes];
        uint crc = uint.MaxValue;
        foreach (byte each in copy.AsSpan(..^4))
        {
            crc = BitOperations.Crc32C(crc, each);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(copy.AsSpan(^4..), ~crc);
        return copy;
    }
}
