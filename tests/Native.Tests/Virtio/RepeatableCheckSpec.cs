using System.Text.RegularExpressions;
using CsCheck;
using Ringmaster.Native.Tests.Virtio.Support;

namespace Ringmaster.Native.Tests.Virtio;

/// <summary>What the property tests stand on: the same inputs every time, and a seed that brings a failure back.</summary>
public sealed partial class RepeatableCheckSpec
{
    private static readonly Gen<int[]> Lists = Gen.Int[0, 1000].Array[0, 50];

    [Fact]
    public void Every_run_has_the_same_inputs()
    {
        Assert.Equal(Inputs(), Inputs());
        Assert.True(Inputs().Distinct().Count() > 90);
    }

    [Fact]
    public void A_failure_names_a_seed_that_replays_it()
    {
        int[] smallest = [];
        CsCheckException failure = Assert.Throws<CsCheckException>(() => RepeatableCheck.Run(Lists, 100, null, Property));
        string seed = Seed().Match(failure.Message).Groups[1].Value;

        Assert.Throws<InvalidOperationException>(() => RepeatableCheck.Run(Lists, 100, seed, Property));
        Assert.Contains(smallest, number => number > 700);

        void Property(int[] list)
        {
            smallest = list;
            if (list.Any(number => number > 700))
            {
                throw new InvalidOperationException("a number is above 700");
            }
        }
    }

    private static List<string> Inputs()
    {
        List<string> inputs = [];
        RepeatableCheck.Run(Lists, 100, null, list => inputs.Add(string.Join(' ', list)));
        return inputs;
    }

    [GeneratedRegex("seed: \"([^\"]+)\"", RegexOptions.IgnoreCase)]
    private static partial Regex Seed();
}
