using Ringmaster.Native.Driver.Load;

namespace Ringmaster.Native.Tests.Driver;

public sealed class LatencyHistogramSpec
{
    [Theory]
    [InlineData(1)]
    [InlineData(100)]
    [InlineData(1_000_000)]
    [InlineData(10_000_000_000)]
    public void Percentiles_are_right_to_one_bucket(long scale)
    {
        var histogram = new LatencyHistogram();
        for (int i = 1; i <= 1000; i++)
        {
            histogram.Record(i * scale);
        }

        foreach (double percent in new[] { 1, 10, 50, 90, 99, 99.9 })
        {
            double exact = percent * 10 * scale;
            Assert.InRange(histogram.Percentile(percent), exact, (exact * 65 / 64) + 1);
        }

        Assert.Equal(1000 * scale, histogram.Percentile(100));
        Assert.Equal(1000 * scale, histogram.Maximum);
    }

    [Fact]
    public void Small_numbers_are_exact()
    {
        var histogram = new LatencyHistogram();
        histogram.Record(0);
        histogram.Record(5);
        histogram.Record(63);
        Assert.Equal(0, histogram.Percentile(1));
        Assert.Equal(5, histogram.Percentile(50));
        Assert.Equal(63, histogram.Percentile(99));
    }

    [Fact]
    public void Sums_are_as_if_counted_together_and_nothing_gives_zero()
    {
        var one = new LatencyHistogram();
        Assert.Equal(0, one.Percentile(50));
        var other = new LatencyHistogram();
        one.Record(10);
        other.Record(long.MaxValue);
        one.Add(other);
        Assert.Equal(2, one.Count);
        Assert.Equal(10, one.Percentile(50));
        Assert.Equal(long.MaxValue, one.Percentile(100));
    }
}
