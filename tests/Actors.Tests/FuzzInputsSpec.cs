using Ringmaster.Fuzz;

namespace Ringmaster.Actors.Tests;

/// <summary>
/// The inputs that fuzzing starts from, and those that it ever found something with: each must run through its target.
/// </summary>
public sealed class FuzzInputsSpec
{
    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "seeds");

    public static TheoryData<string, string> Inputs
    {
        get
        {
            TheoryData<string, string> inputs = [];
            foreach (string target in Targets.All.Keys)
            {
                foreach (string file in Directory.EnumerateFiles(Path.Combine(Folder, target)).Order(StringComparer.Ordinal))
                {
                    inputs.Add(target, Path.GetFileName(file));
                }
            }

            return inputs;
        }
    }

    [Theory]
    [MemberData(nameof(Inputs))]
    public void An_input_of_the_fuzzer_breaks_no_rule(string target, string file) =>
        Assert.Null(Record.Exception(() => Targets.All[target](File.ReadAllBytes(Path.Combine(Folder, target, file)))));

    [Fact]
    public void Every_target_has_inputs() =>
        Assert.All(Targets.All.Keys, target => Assert.True(Inputs.Count(row => (string)row[0] == target) > 5));
}
