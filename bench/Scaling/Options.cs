using System.Globalization;

namespace Ringmaster.Bench.Scaling;

/// <summary>What is measured.</summary>
/// <param name="Executable">The back-end's executable, as published.</param>
/// <param name="Sizes">One row of the first table each.</param>
/// <param name="IdleSeconds">For how long the idle process is watched.</param>
internal sealed record Options(string Executable, IReadOnlyList<Size> Sizes, int IdleSeconds)
{
    internal const string Usage =
        "usage: Scaling EXECUTABLE [--idle SECONDS] [DEVICESxPAIRS...]\n"
        + "Measures a published ringmaster with so many devices of so many queue pairs each, as root; prints Markdown.";

    private static readonly string[] Usual = ["1x2", "4x2", "16x2", "64x2", "256x2", "1x8", "1x32", "1x128"];

    /// <summary>Null when the command line is not of its form.</summary>
    internal static Options? Parse(string[] args)
    {
        if (args.Length == 0 || !File.Exists(args[0]))
        {
            return null;
        }

        int idle = 5;
        IEnumerable<string> sizes = args.Skip(1);
        if (args.Length > 2 && args[1] == "--idle")
        {
            if (!int.TryParse(args[2], NumberStyles.None, CultureInfo.InvariantCulture, out idle) || idle < 1)
            {
                return null;
            }

            sizes = args.Skip(3);
        }

        Size?[] parsed = [.. sizes.DefaultIfEmpty().SelectMany(each => each is null ? Usual : [each]).Select(Size.Parse)];
        return parsed.Contains(null) ? null : new Options(Path.GetFullPath(args[0]), [.. parsed.OfType<Size>()], idle);
    }
}

/// <summary>So many devices with so many queue pairs each.</summary>
internal readonly record struct Size(int Devices, int Pairs)
{
    internal int AllPairs => Devices * Pairs;

    /// <summary>Reads <c>64x2</c>; null when it is not of that form.</summary>
    internal static Size? Parse(string text)
    {
        string[] parts = text.Split('x');
        return parts.Length == 2
            && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int devices)
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int pairs)
            && devices is > 0 and <= 4096 && pairs is > 0 and <= 128
            ? new Size(devices, pairs)
            : null;
    }
}
