using Ringmaster.Bench.Compare.Bare;

namespace Ringmaster.Bench.Compare.Contenders;

/// <summary>A bare TAP loop, the most that a back-end can reach.</summary>
/// <param name="Name">As it stands in tables.</param>
/// <param name="Engine">syscall or io-uring.</param>
/// <param name="Program">The program, and what comes before the loop's own arguments.</param>
internal sealed record Ceiling(string Name, string Engine, IReadOnlyList<string> Program)
{
    private const string CName = "C loop";
    private static readonly TimeSpan CompilerTimeout = TimeSpan.FromSeconds(30);

    /// <summary>True: its buffers are touched by another CPU as well, as a guest's are; false: they are its alone.</summary>
    internal bool HasGuest { get; init; }

    /// <summary>The loop of <see cref="BareLoop"/>: this program once more.</summary>
    internal static Ceiling CSharp(string engine) => new(NameOf(engine), engine, [Environment.ProcessPath!, BareLoop.Command]);

    /// <summary>The same with a guest.</summary>
    internal static Ceiling WithGuest(string engine) => CSharp(engine) with { Name = NameWithGuest(engine), HasGuest = true };

    /// <summary>The loop of bare.c.</summary>
    internal static Ceiling C(string engine, string program) => new($"{CName} {engine}", engine, [program]);

    /// <summary>The C loop stands beside the C# one to show that they are equal; it is no contender.</summary>
    internal static bool IsC(string name) => name.StartsWith(CName, StringComparison.Ordinal);

    internal static string NameWithGuest(string engine) => $"bare loop {engine}, guest";

    internal static string NameOf(string engine) => $"bare loop {engine}";

    /// <summary>Compiles bare.c.</summary>
    internal static Task CompileAsync(string program)
    {
        Require.Program("gcc", "gcc libc6-dev");
        string source = Path.Combine(AppContext.BaseDirectory, "Bare", "bare.c");
        return ManagedProcess.RunAsync(CompilerTimeout, "gcc", "-O2", "-pthread", "-o", program, source);
    }
}
