namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>How long things take.</summary>
/// <param name="WarmUp">From the first frame until it is measured.</param>
/// <param name="Window">What is measured.</param>
internal sealed record Durations(TimeSpan WarmUp, TimeSpan Window)
{
    /// <summary>For a comparison: long enough for back-end and driver to be compiled again for what is hot in them.</summary>
    internal static Durations Full { get; } = new(TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(0.8));

    /// <summary>A bare loop has nothing to compile.</summary>
    internal TimeSpan BareWarmUp => WarmUp / 4;
}
