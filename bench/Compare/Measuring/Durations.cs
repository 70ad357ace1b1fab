namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>How long things take.</summary>
/// <param name="WarmUp">From the first frame until it is measured.</param>
/// <param name="Window">What is measured.</param>
internal sealed record Durations(TimeSpan WarmUp, TimeSpan Window)
{
    internal static Durations Full { get; } = new(TimeSpan.FromSeconds(0.8), TimeSpan.FromSeconds(0.8));

    /// <summary>A bare loop has nothing to compile.</summary>
    internal TimeSpan BareWarmUp => WarmUp / 4;
}
