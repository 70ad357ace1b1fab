using System.Collections.Immutable;
using Akka.Configuration;
using Akka.Configuration.Hocon;

namespace Ringmaster.Actors.Settings;

/// <summary>
/// HOCON as a plain tree: a section, a list or one text. Akka's own tree answers 0 or "" for what is missing and
/// loops for ever on an optional substitution that leads nowhere; this one does neither, and every node knows the
/// path at which it was written, so that an error can name it even after defaults were merged in.
/// </summary>
internal sealed class ConfigurationNode
{
    // Far deeper than any key of ours; Akka nests without end for ${?missing}.
    private const int MaxDepth = 12;

    private ConfigurationNode(string path) => Path = path;

    /// <summary>Where it was written, for example <c>ringmaster.device-defaults.mac</c>.</summary>
    internal string Path { get; }

    /// <summary>The keys of a section; null when it is none.</summary>
    internal ImmutableSortedDictionary<string, ConfigurationNode>? Children { get; private init; }

    /// <summary>The elements of a list; default when it is none.</summary>
    internal ImmutableArray<string> Items { get; private init; }

    /// <summary>The text of a single value; null when it is none. "" for <c>null</c> and for a key without a value.</summary>
    internal string? Text { get; private init; }

    /// <summary>What a person would call it in an error.</summary>
    internal string Found => this switch
    {
        { Children: not null } => "a section { ... }",
        { Items.IsDefault: false } => $"the list [{string.Join(", ", Items)}]",
        { Text: "" } => "nothing",
        _ => $"'{Text}'",
    };

    /// <summary>Converts the whole of a layered configuration.</summary>
    /// <exception cref="SettingsException">It nests without end.</exception>
    internal static ConfigurationNode From(Config config) =>
        config.IsEmpty || config.Root is null ? EmptySection("") : From(config.Root, "", 0);

    internal static ConfigurationNode EmptySection(string path) =>
        new(path) { Children = ImmutableSortedDictionary.Create<string, ConfigurationNode>(StringComparer.Ordinal) };

    /// <summary>This section with what it lacks taken from another; leaves from there keep their own path.</summary>
    internal ConfigurationNode Over(ConfigurationNode defaults)
    {
        if (Children is null || defaults.Children is null)
        {
            return this;
        }

        var merged = Children.ToBuilder();
        foreach ((string key, ConfigurationNode theirs) in defaults.Children)
        {
            ConfigurationNode? ours = merged.GetValueOrDefault(key);
            ours ??= theirs.Children is null ? theirs : EmptySection(Join(Path, key));
            merged[key] = ours.Over(theirs);
        }

        return new ConfigurationNode(Path) { Children = merged.ToImmutable() };
    }

    internal static string Join(string path, string key) => path.Length == 0 ? key : $"{path}.{key}";

    private static ConfigurationNode From(HoconValue value, string path, int depth)
    {
        if (depth > MaxDepth)
        {
            string problem = $"nests deeper than {MaxDepth} sections; is a substitution ${{?...}} used that is not set?";
            throw new SettingsException([new SettingsError(path, problem)]);
        }

        if (value.IsObject())
        {
            var children = ImmutableSortedDictionary.CreateBuilder<string, ConfigurationNode>(StringComparer.Ordinal);
            foreach ((string key, HoconValue child) in value.GetObject().Items)
            {
                children[key] = From(child, Join(path, key), depth + 1);
            }

            return new ConfigurationNode(path) { Children = children.ToImmutable() };
        }

        // IsArray() says no to [].
        return value.Values.OfType<HoconArray>().Any()
            ? new ConfigurationNode(path) { Items = [.. value.GetArray().Select(TextOf)] }
            : new ConfigurationNode(path) { Text = value.IsString() ? value.GetString() ?? "" : "" };
    }

    private static string TextOf(HoconValue item) => item.IsString() ? item.GetString() : item.ToString();
}
