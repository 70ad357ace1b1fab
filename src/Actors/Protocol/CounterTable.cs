using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// What the pairs of a device have counted for their guest, so that counting goes on in another device. Left out is what
/// tells how a host fared (retries, calls, kicks, batches, sleeps): that begins anew there.
/// </summary>
/// <remarks>
/// <para>
/// As bytes: number of names u8; each name, length u8 and ASCII; then for each pair a value u64 little-endian for each name.
/// Pairs after the last one that has counted anything are left out.
/// </para>
/// <para>
/// Names, not positions, say what a value counts, so a table of an older or newer version can be read: a name that is not known
/// is passed over, and one that is not there counts as 0.
/// </para>
/// </remarks>
internal sealed class CounterTable : IEquatable<CounterTable>
{
    /// <summary>The highest value that is taken: whatever goes on from here overflows in no lifetime.</summary>
    internal const long MaxValue = 1L << 62;

    private const int MaxNameLength = 32;
    private const int MaxPairs = 0x8000; // virtio's VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX

    private readonly ImmutableArray<long> _values; // a row for each pair, in the order of Carried

    private CounterTable(ImmutableArray<long> values) => _values = values;

    /// <summary>What is carried over, and under which names. A name, once given, keeps its meaning.</summary>
    internal static ImmutableArray<(WorkerCounter Counter, string Name)> Carried { get; } =
    [
        (WorkerCounter.TxFrames, "tx-frames"),
        (WorkerCounter.TxBytes, "tx-bytes"),
        (WorkerCounter.TxDropped, "tx-dropped"),
        (WorkerCounter.TxDiscarded, "tx-discarded"),
        (WorkerCounter.TxBadChains, "tx-bad-chains"),
        (WorkerCounter.RxFrames, "rx-frames"),
        (WorkerCounter.RxBytes, "rx-bytes"),
        (WorkerCounter.RxDropped, "rx-dropped"),
        (WorkerCounter.RxStarved, "rx-starved"),
        (WorkerCounter.RxBadChains, "rx-bad-chains"),
        (WorkerCounter.RingErrors, "ring-errors"),
    ];

    /// <summary>Nobody has counted anything.</summary>
    internal static CounterTable Empty { get; } = new([]);

    private static ImmutableArray<string> Names { get; } = [.. Carried.Select(each => each.Name)];

    private int Pairs => _values.Length / Names.Length;

    /// <summary>What one pair has counted: nothing, where it is not there.</summary>
    internal IEnumerable<(WorkerCounter Counter, long Value)> this[int pair] =>
        Carried.Select((each, column) => (each.Counter, pair < Pairs ? _values[(pair * Names.Length) + column] : 0));

    /// <summary>Takes down what pairs have counted.</summary>
    /// <param name="pairs">How many there are.</param>
    /// <param name="read">The value of one pair's counter.</param>
    internal static CounterTable Of(int pairs, Func<int, WorkerCounter, long> read) => new(
    [
        .. Enumerable.Range(0, pairs).SelectMany(pair => Carried.Select(each => Math.Min(read(pair, each.Counter), MaxValue))),
    ]);

    internal byte[] ToBytes()
    {
        var bytes = new MemoryStream();
        bytes.WriteByte((byte)Names.Length);
        foreach (string name in Names)
        {
            bytes.WriteByte((byte)name.Length);
            bytes.Write(Encoding.ASCII.GetBytes(name));
        }

        int rows = Enumerable.Range(0, Pairs).LastOrDefault(HasCounted, -1) + 1;
        byte[] value = new byte[sizeof(ulong)];
        foreach (long each in _values.AsSpan(..(rows * Names.Length)))
        {
            BinaryPrimitives.WriteInt64LittleEndian(value, each);
            bytes.Write(value);
        }

        return bytes.ToArray();
    }

    /// <returns>Null, or the reason why it is refused.</returns>
    internal static string? TryRead(ReadOnlySpan<byte> bytes, out CounterTable table)
    {
        table = Empty;
        return ReadNames(ref bytes, out List<string> names) ?? ReadRows(bytes, names, out table);
    }

    /// <inheritdoc/>
    public bool Equals(CounterTable? other) => other is not null && ToBytes().AsSpan().SequenceEqual(other.ToBytes());

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as CounterTable);

    /// <inheritdoc/>
    public override int GetHashCode() => _values.FirstOrDefault().GetHashCode();

    /// <inheritdoc/>
    public override string ToString() => $"of {Pairs} pairs";

    private static string? ReadNames(ref ReadOnlySpan<byte> bytes, out List<string> names)
    {
        names = [];
        if (bytes.IsEmpty)
        {
            return "it has no names of counters";
        }

        int count = bytes[0];
        bytes = bytes[1..];
        for (int index = 0; index < count; index++)
        {
            if (bytes.IsEmpty || bytes[0] is 0 or > MaxNameLength || bytes[0] >= bytes.Length)
            {
                return $"the name of counter {index} is cut off, empty or longer than {MaxNameLength} bytes";
            }

            ReadOnlySpan<byte> name = bytes.Slice(1, bytes[0]);
            if (name.ContainsAnyExcept("abcdefghijklmnopqrstuvwxyz0123456789-"u8))
            {
                return $"the name of counter {index} has other bytes than small letters, digits and hyphens";
            }

            names.Add(Encoding.ASCII.GetString(name));
            bytes = bytes[(1 + name.Length)..];
        }

        return names.GroupBy(name => name).FirstOrDefault(same => same.Skip(1).Any()) is { } twice
            ? $"counter {twice.Key} comes twice"
            : null;
    }

    private static string? ReadRows(ReadOnlySpan<byte> bytes, List<string> names, out CounterTable table)
    {
        table = Empty;
        int rowSize = names.Count * sizeof(ulong);
        if (rowSize == 0 ? !bytes.IsEmpty : bytes.Length % rowSize != 0)
        {
            return $"{bytes.Length} bytes are no whole rows of {names.Count} counters";
        }

        int pairs = rowSize == 0 ? 0 : bytes.Length / rowSize;
        if (pairs > MaxPairs)
        {
            return $"it counts {pairs} pairs, and {MaxPairs} is the most";
        }

        int[] columns = [.. names.Select(name => Names.IndexOf(name))];
        long[] values = new long[pairs * Names.Length];
        for (int cell = 0; cell < pairs * names.Count; cell++)
        {
            (int pair, int column) = (cell / names.Count, cell % names.Count);
            ulong value = BinaryPrimitives.ReadUInt64LittleEndian(bytes[(cell * sizeof(ulong))..]);
            if (value > MaxValue)
            {
                return $"counter {names[column]} of pair {pair} is {value}, and {MaxValue} is the most";
            }

            if (columns[column] >= 0)
            {
                values[(pair * Names.Length) + columns[column]] = (long)value;
            }
        }

        table = new CounterTable([.. values]);
        return null;
    }

    private bool HasCounted(int pair) => _values.AsSpan(pair * Names.Length, Names.Length).ContainsAnyExcept(0);
}
