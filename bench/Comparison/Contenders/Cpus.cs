namespace Ringmaster.Bench.Compare.Contenders;

/// <summary>Who runs where: back-ends on the first CPU, drivers and generators on the last.</summary>
internal static class Cpus
{
    internal const int Backend = 0;

    internal static int Driver { get; } = Environment.ProcessorCount - 1;
}
