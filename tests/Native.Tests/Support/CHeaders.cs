using System.Diagnostics;
using System.Globalization;

namespace Ringmaster.Native.Tests.Support;

/// <summary>Asks the C compiler what the kernel's and the C library's headers say.</summary>
internal static class CHeaders
{
    /// <summary>The values of integer expressions, such as <c>sizeof(struct ifreq)</c>, in the order given.</summary>
    /// <param name="includes">Headers, such as <c>net/if.h</c>.</param>
    /// <param name="expressions">Constant expressions in C.</param>
    internal static IReadOnlyDictionary<string, long> Evaluate(string[] includes, string[] expressions)
    {
        Requirement.Compiler();
        string folder = Directory.CreateTempSubdirectory("ringmaster-c-").FullName;
        try
        {
            IEnumerable<string> headers = includes.Select(include => $"#include <{include}>");
            IEnumerable<string> lines = expressions.Select(asked => $"    printf(\"%lld\\n\", (long long)({asked}));");
            string[] always = ["#define _GNU_SOURCE", "#include <stddef.h>", "#include <stdio.h>"];
            File.WriteAllLines(Path.Combine(folder, "ask.c"), [.. always, .. headers, "int main(void) {", .. lines, "}"]);
            Run("gcc", "-o", Path.Combine(folder, "ask"), Path.Combine(folder, "ask.c"));
            string[] answers = Run(Path.Combine(folder, "ask")).Split('\n', StringSplitOptions.RemoveEmptyEntries);
            return expressions
                .Zip(answers, (expression, answer) => (expression, Value: long.Parse(answer, CultureInfo.InvariantCulture)))
                .ToDictionary(pair => pair.expression, pair => pair.Value);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Checks that each expression has the value that Ringmaster takes it to have.</summary>
    internal static void Agree(string[] includes, params (string Expression, long Ours)[] expected)
    {
        IReadOnlyDictionary<string, long> theirs = Evaluate(includes, [.. expected.Select(pair => pair.Expression)]);
        Assert.All(expected, pair => Assert.Equal((pair.Expression, pair.Ours), (pair.Expression, theirs[pair.Expression])));
    }

    private static string Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program}: {errors.GetAwaiter().GetResult()}");
        return output;
    }
}
