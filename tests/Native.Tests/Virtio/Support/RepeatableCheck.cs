using CsCheck;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>
/// Runs a property on the same inputs every time, so that a build fails for a change and not by chance. What it finds is
/// handed to CsCheck, which looks for a smaller one and names its seed.
/// </summary>
/// <remarks>
/// With <c>CsCheck_Seed</c> set the property runs on that seed's input alone: a failure is replayed. With
/// <c>RINGMASTER_CHECK_TIMES=N</c> it runs on N times as many inputs.
/// </remarks>
internal static class RepeatableCheck
{
    private const int ShrinkIterations = 2000;

    private static readonly int Times =
        int.TryParse(Environment.GetEnvironmentVariable("RINGMASTER_CHECK_TIMES"), out int times) ? times : 1;

    internal static void Run<T>(Gen<T> generator, int iterations, Action<T> property) =>
        Run(generator, iterations * Times, Environment.GetEnvironmentVariable("CsCheck_Seed"), property);

    /// <summary>The same with the seed to replay given, or null.</summary>
    internal static void Run<T>(Gen<T> generator, int iterations, string? replayed, Action<T> property)
    {
        if (!string.IsNullOrEmpty(replayed))
        {
            property(generator.Generate(PCG.Parse(replayed), null!, out _));
            return;
        }

        for (uint i = 0; i < iterations; i++)
        {
            var random = new PCG(i, 0x5eed);
            string seed = random.ToString();
            T input = generator.Generate(random, null!, out _);
            try
            {
                property(input);
            }
            catch (Exception)
            {
                generator.Sample(property, seed: seed, iter: ShrinkIterations, threads: 1);
                throw;
            }
        }
    }
}
