using System.Buffers.Binary;
using System.Text;
using System.Text.RegularExpressions;
using CsCheck;
using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>Counters on their way to another device: by name, so that versions can differ; nonsense is refused.</summary>
public sealed partial class CounterTableSpec
{
    private const int Samples = 2000;
    private const long Most = 1L << 62;

    [Fact]
    public void The_form_is_as_documented()
    {
        CounterTable table = CounterTable.Of(2, (pair, counter) => counter == WorkerCounter.TxBytes ? 0x1234 + pair : 0);

        string names = string.Concat(CounterTable.Carried.Select(each => $"{each.Name.Length:X2}{Hex(each.Name)}"));
        string zeros = new('0', 16 * (CounterTable.Carried.Length - 2));
        Assert.Equal(
            $"0B{names}0000000000000000{"3412000000000000"}{zeros}0000000000000000{"3512000000000000"}{zeros}",
            Convert.ToHexString(table.ToBytes()));
    }

    [Fact]
    public void Names_are_those_of_the_counters_and_none_comes_twice()
    {
        Assert.All(CounterTable.Carried, each => Assert.Equal(each.Name, Name(each.Counter)));
        Assert.Equal(CounterTable.Carried.Length, CounterTable.Carried.DistinctBy(each => each.Counter).Count());
    }

    [Fact]
    public void Pairs_that_counted_nothing_after_the_last_that_did_are_left_out()
    {
        int none = CounterTable.Empty.ToBytes().Length;

        Assert.Equal(none, CounterTable.Of(4, (_, _) => 0).ToBytes().Length);
        Assert.Equal(none + (2 * RowSize), CounterTable.Of(4, (pair, _) => pair == 1 ? 1 : 0).ToBytes().Length);
    }

    [Fact]
    public void A_pair_that_is_not_there_has_counted_nothing() =>
        Assert.All(CounterTable.Of(1, (_, _) => 1)[1], each => Assert.Equal(0, each.Value));

    [Fact]
    public void A_name_that_is_not_known_is_passed_over_and_one_that_is_not_there_counts_as_0()
    {
        Assert.Null(CounterTable.TryRead(Bytes(["from-the-future", "rx-frames"], 1, 2, 3, 4), out CounterTable table));

        Assert.Equal(CounterTable.Of(2, (pair, counter) => counter == WorkerCounter.RxFrames ? 2 + (2 * pair) : 0), table);
    }

    [Fact]
    public void A_table_without_names_or_rows_says_that_nothing_was_counted()
    {
        Assert.Null(CounterTable.TryRead([0], out CounterTable table));
        Assert.Equal(CounterTable.Empty, table);
        Assert.Null(CounterTable.TryRead(Bytes(["rx-frames"]), out table));
        Assert.Equal(CounterTable.Empty, table);
    }

    [Fact]
    public void What_makes_no_sense_is_refused_by_name()
    {
        AssertRefused("no names", []);
        AssertRefused("name of counter 0", [1]);
        AssertRefused("name of counter 0", [1, 0]);
        AssertRefused("name of counter 1", [2, 1, (byte)'a', 2, (byte)'b']);
        AssertRefused("name of counter 0", Bytes([new string('a', 33)]));
        AssertRefused("name of counter 0", Bytes(["RX"]));
        AssertRefused("name of counter 1", Bytes(["rx", "a\nb"]));
        AssertRefused("counter rx-frames comes twice", Bytes(["rx-frames", "tx-frames", "rx-frames"]));
        AssertRefused("3 bytes are no whole rows of 0 counters", [0, 1, 2, 3]);
        AssertRefused("8 bytes are no whole rows of 2 counters", Bytes(["a", "b"], 1));
        AssertRefused("it counts 32769 pairs", Bytes(["a"], new long[32769]));
        AssertRefused("counter b of pair 1 is 4611686018427387905", Bytes(["a", "b"], 0, Most, 0, Most + 1));
        AssertRefused("counter a of pair 0 is 18446744073709551615", Bytes(["a"], -1));
    }

    [Fact]
    public void Random_bytes_throw_nothing_and_give_nothing_that_is_out_of_bounds() =>
        Gen.OneOf(Gen.Byte.Array[0, 100], Gen.Byte[0, 4].Array[0, 60], LetterNames).Sample(
            bytes => CounterTable.TryRead(bytes, out CounterTable table) is null
                ? table[0].All(each => each.Value is >= 0 and <= Most)
                : table.Equals(CounterTable.Empty),
            iter: Samples);

    /// <summary>Two names of a letter each, which may be the same one, and anything after them.</summary>
    private static Gen<byte[]> LetterNames => Gen.Select(
        Gen.Byte[97, 99], Gen.Byte[97, 99], Gen.Byte.Array[0, 64], (a, b, rest) => (byte[])[2, 1, a, 1, b, .. rest]);

    private static int RowSize => sizeof(ulong) * CounterTable.Carried.Length;

    private static void AssertRefused(string reason, byte[] bytes)
    {
        Assert.Contains(reason, CounterTable.TryRead(bytes, out CounterTable table));
        Assert.Equal(CounterTable.Empty, table);
    }

    private static byte[] Bytes(string[] names, params long[] values)
    {
        List<byte> bytes = [(byte)names.Length];
        foreach (string name in names)
        {
            bytes.Add((byte)name.Length);
            bytes.AddRange(Encoding.ASCII.GetBytes(name));
        }

        foreach (long value in values)
        {
            byte[] cell = new byte[sizeof(long)];
            BinaryPrimitives.WriteInt64LittleEndian(cell, value);
            bytes.AddRange(cell);
        }

        return [.. bytes];
    }

    private static string Hex(string text) => Convert.ToHexString(Encoding.ASCII.GetBytes(text));

    // TxBadChains is tx-bad-chains.
    private static string Name(WorkerCounter counter) => WordStart().Replace(counter.ToString(), "-").ToLowerInvariant();

    [GeneratedRegex("(?<=[a-z])(?=[A-Z])")]
    private static partial Regex WordStart();
}
