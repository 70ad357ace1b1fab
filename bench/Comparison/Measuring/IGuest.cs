namespace Ringmaster.Bench.Compare.Measuring;

/// <summary>A driver that is connected to a back-end.</summary>
internal interface IGuest : IAsyncDisposable
{
    /// <summary>Runs one workload and measures the back-end meanwhile.</summary>
    Task<Sample> MeasureAsync(Workload workload, Sample empty, CancellationToken cancellation);
}
