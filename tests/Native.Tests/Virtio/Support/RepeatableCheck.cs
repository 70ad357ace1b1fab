using CsCheck;

namespace Ringmaster.Native.Tests.Virtio.Support;

/// <summary>
/// Runs a property on the same inputs every time, so that a build fails for a change and not by chance. What it finds is
/// handed to CsCheck, which looks for a smaller one and names the seed.
/// </summary>
internal static class RepeatableCheck
{
    private const int ShrinkIterations = 2000;

    internal static void Run<T>(Gen<T> generator, int iterations, Action<T> property)
    {
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
