using Ringmaster.Host.Configuration;

namespace Ringmaster.EndToEnd.Tests.Host;

public sealed class HoconBracesSpec
{
    [Theory]
    [InlineData("")]
    [InlineData("a { b = [1, 2], c { } }")]
    [InlineData("a = \"}\" # } and ]\n// }\nb = \"\\\"}\"")]
    [InlineData("a = \"\"\"\n}\n\"\"\"")]
    [InlineData("a = \"not closed on its line }\nb = 1")]
    public void Braces_that_match_are_no_problem_wherever_quotes_and_comments_have_others(string text) =>
        Assert.Null(HoconBraces.Problem(text));

    [Theory]
    [InlineData("a {\n b {\n}", "line 1: '{' is not closed")]
    [InlineData("a {\n b = [1\n}", "line 3: '}' closes nothing")]
    [InlineData("a = 1\n]", "line 2: ']' closes nothing")]
    [InlineData("a = \"\"\"\n\n\"\"\"\n}", "line 4: '}' closes nothing")]
    [InlineData("a = [\"\\", "line 1: '[' is not closed")]
    public void Braces_that_do_not_match_are_named_with_their_line(string text, string problem) =>
        Assert.Equal(problem, HoconBraces.Problem(text));
}
