using System.Numerics;

namespace Ringmaster.Native.Driver.Load;

/// <summary>Counts durations in buckets 1/64 of their power of two wide, so that percentiles are right to 1.6 %.</summary>
public sealed class LatencyHistogram
{
    private const int SubBits = 6;
    private const int SubBuckets = 1 << SubBits;
    private readonly long[] _buckets = new long[(64 - SubBits + 1) * SubBuckets];

    /// <summary>How many durations were counted.</summary>
    public long Count { get; private set; }

    /// <summary>The longest, exact; zero when nothing was counted.</summary>
    public long Maximum { get; private set; }

    /// <summary>Counts one duration.</summary>
    /// <param name="duration">In any unit, not negative.</param>
    public void Record(long duration)
    {
        _buckets[BucketOf(duration)]++;
        Count++;
        Maximum = Math.Max(Maximum, duration);
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        Array.Clear(_buckets);
        Count = 0;
        Maximum = 0;
    }

    /// <summary>Adds what another one counted.</summary>
    public void Add(LatencyHistogram other)
    {
        for (int i = 0; i < _buckets.Length; i++)
        {
            _buckets[i] += other._buckets[i];
        }

        Count += other.Count;
        Maximum = Math.Max(Maximum, other.Maximum);
    }

    /// <summary>The duration that so many percent do not exceed, rounded up to its bucket's end; 0 without any.</summary>
    /// <param name="percent">0 to 100.</param>
    public long Percentile(double percent)
    {
        long wanted = Math.Max((long)Math.Ceiling(Count * percent / 100), 1);
        long seen = 0;
        for (int i = 0; i < _buckets.Length; i++)
        {
            seen += _buckets[i];
            if (seen >= wanted)
            {
                return Math.Min(EndOf(i), Maximum);
            }
        }

        return 0;
    }

    private static int BucketOf(long duration)
    {
        int shift = Math.Max(BitOperations.Log2((ulong)duration | 1) - SubBits, 0);
        return (shift * SubBuckets) + (int)(duration >> shift);
    }

    private static long EndOf(int bucket)
    {
        int shift = Math.Max((bucket / SubBuckets) - 1, 0);
        long start = (long)(bucket - (shift * SubBuckets)) << shift;
        return start + (1L << shift) - 1;
    }
}
