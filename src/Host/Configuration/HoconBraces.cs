namespace Ringmaster.Host.Configuration;

/// <summary>
/// Checks that the braces and brackets of a HOCON text match. Akka's parser forgives what does not, and so would
/// read half of a file without a word.
/// </summary>
internal static class HoconBraces
{
    private const string TripleQuote = "\"\"\"";

    /// <summary>What is wrong, with its line; null when nothing is.</summary>
    internal static string? Problem(string text)
    {
        var open = new Stack<(char Brace, int Line)>();
        int line = 1;
        for (int i = 0; i < text.Length; i = Next(text, i, ref line))
        {
            switch (text[i])
            {
                case '{' or '[':
                    open.Push((text[i], line));
                    break;
                case '}' or ']':
                    if (open.Count == 0 || open.Pop().Brace != (text[i] == '}' ? '{' : '['))
                    {
                        return $"line {line}: '{text[i]}' closes nothing";
                    }

                    break;
            }
        }

        return open.Count == 0 ? null : $"line {open.Peek().Line}: '{open.Peek().Brace}' is not closed";
    }

    /// <summary>Where to look next: beyond a comment or a text in quotes, else one further.</summary>
    private static int Next(string text, int i, ref int line)
    {
        int end = i + 1;
        if (text[i] == '#' || string.CompareOrdinal(text, i, "//", 0, 2) == 0)
        {
            end = IndexOrEnd(text, "\n", i);
        }
        else if (string.CompareOrdinal(text, i, TripleQuote, 0, 3) == 0)
        {
            end = IndexOrEnd(text, TripleQuote, i + 3) + 3;
        }
        else if (text[i] == '"')
        {
            while (end < text.Length && text[end] is not ('"' or '\n'))
            {
                end += text[end] == '\\' ? 2 : 1;
            }

            end++;
        }

        end = Math.Min(end, text.Length);
        line += text.AsSpan(i, end - i).Count('\n');
        return end;
    }

    private static int IndexOrEnd(string text, string what, int from)
    {
        int found = from <= text.Length ? text.IndexOf(what, from, StringComparison.Ordinal) : -1;
        return found < 0 ? text.Length : found;
    }
}
