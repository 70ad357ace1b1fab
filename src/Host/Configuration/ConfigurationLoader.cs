using System.Text.RegularExpressions;
using Akka.Configuration;

namespace Ringmaster.Host.Configuration;

/// <summary>A layer cannot be read; the message says which and why, for the operator.</summary>
internal sealed class ConfigurationException(string message) : Exception(message);

/// <summary>
/// Puts the layers of the configuration on top of each other: HOCON.conf next to the executable, then the files in
/// order, then the definitions in order. The last word wins, key by key.
/// </summary>
internal static partial class ConfigurationLoader
{
    private static string ReferencePath => Path.Combine(AppContext.BaseDirectory, "HOCON.conf");

    /// <param name="files">Paths, from <c>--config</c>.</param>
    /// <param name="definitions">Each <c>key=value</c>, from <c>-D</c>.</param>
    /// <exception cref="ConfigurationException">A file cannot be read or is not HOCON; a definition has another form.</exception>
    internal static Config Load(IEnumerable<string> files, IEnumerable<string> definitions)
    {
        Config config = ParseFile(ReferencePath);
        foreach (string file in files)
        {
            config = ParseFile(file).WithFallback(config);
        }

        foreach (string definition in definitions)
        {
            config = ParseDefinition(definition).WithFallback(config);
        }

        return config;
    }

    private static Config ParseFile(string path)
    {
        string text;
        try
        {
            text = File.ReadAllText(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"{path}: {error.Message}");
        }

        return Parse(text, path);
    }

    private static Config ParseDefinition(string definition)
    {
        string[] parts = definition.Split('=', 2);
        if (parts.Length != 2 || !Key().IsMatch(parts[0]))
        {
            throw new ConfigurationException($"-D {definition}: allowed is KEY=VALUE, such as ringmaster.log.level=debug");
        }

        // A list, a section or a quoted text is HOCON; anything else is taken as it stands, so that a MAC address
        // needs no quotes here, which HOCON demands and a shell takes away.
        string value = parts[1].TrimStart() is ['[' or '{' or '"', ..] ? parts[1] : Quote(parts[1]);
        return Parse($"{parts[0]} = {value}", $"-D {definition}");
    }

    private static Config Parse(string hocon, string origin)
    {
        // Akka's parser takes a text that ends in the middle of a section, and drops what follows one brace too many.
        if (HoconBraces.Problem(hocon) is { } problem)
        {
            throw new ConfigurationException($"{origin}: {problem}");
        }

        try
        {
            return ConfigurationFactory.ParseString(hocon);
        }
        catch (Exception error)
            when (error is FormatException or Akka.Configuration.ConfigurationException or InvalidOperationException)
        {
            throw new ConfigurationException($"{origin}: {error.Message.Trim()}");
        }
    }

    private static string Quote(string text) =>
        $"\"{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";

    [GeneratedRegex(@"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")]
    private static partial Regex Key();
}
