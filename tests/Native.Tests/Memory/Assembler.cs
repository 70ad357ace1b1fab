using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text;
using Ringmaster.Native.Tests.Support;

namespace Ringmaster.Native.Tests.Memory;

/// <summary>Runs GNU binutils on small programs, in a folder of its own.</summary>
internal sealed class Assembler : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("assembler-").FullName;
    private readonly string _prefix;

    /// <param name="prefix">Of the tools' names: empty, or for example <c>aarch64-linux-gnu-</c>.</param>
    internal Assembler(string prefix) => _prefix = prefix;

    /// <summary>The machine code of a source.</summary>
    internal byte[] Assemble(string source)
    {
        File.WriteAllText(PathOf("code.s"), source);
        Run(_prefix + "as", "code.s", "-o", "code.o");
        Run(_prefix + "objcopy", "-O", "binary", "-j", ".text", "code.o", "code.bin");
        return File.ReadAllBytes(PathOf("code.bin"));
    }

    /// <summary>Makes a program without a C library. Other files of the folder can be included.</summary>
    internal string Link(string source)
    {
        File.WriteAllText(PathOf("program.s"), source);
        Run(_prefix + "as", "program.s", "-o", "program.o");
        Run(_prefix + "ld", "program.o", "-o", "program");
        return PathOf("program");
    }

    internal string PathOf(string file) => Path.Combine(_folder, file);

    /// <summary>
    /// A listing in the comments beside the bytes in a C# source: instructions are what stands between <c>//</c> and
    /// a semicolon on lines with bytes, labels are comment lines that end in a colon.
    /// </summary>
    internal static string Listing(string member, string head, string relativePath, [CallerFilePath] string here = "")
    {
        string path = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, relativePath));
        IEnumerable<string> body = File.ReadLines(path)
            .SkipWhile(line => !line.EndsWith($"ReadOnlySpan<byte> {member} =>", StringComparison.Ordinal))
            .Skip(2)
            .TakeWhile(line => line.Trim() != "];");
        var text = new StringBuilder(head);
        foreach (string line in body)
        {
            text.AppendLine(line[(line.IndexOf("//", StringComparison.Ordinal) + 2)..].Split(';')[0].Trim());
        }

        return text.ToString();
    }

    /// <summary>Runs a program to its end and gives its exit code.</summary>
    internal static int Execute(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { UseShellExecute = false })!;
        if (!process.WaitForExit(Waiting.Limit))
        {
            process.Kill();
            throw new TimeoutException(program + " has not ended in time.");
        }

        return process.ExitCode;
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private void Run(string tool, params string[] arguments)
    {
        var start = new ProcessStartInfo(tool, arguments) { WorkingDirectory = _folder };
        using Process process = Process.Start(start)!;
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{tool} {string.Join(' ', arguments)} failed");
    }
}
