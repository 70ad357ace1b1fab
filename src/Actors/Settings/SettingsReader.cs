using System.Collections.Immutable;

namespace Ringmaster.Actors.Settings;

/// <summary>
/// Reads one section key by key. Nothing throws here: what is wrong is added to a list that all sections share, and
/// reading goes on with a default, so that one run tells the operator everything.
/// </summary>
internal sealed class SettingsReader
{
    private readonly ConfigurationNode _section;
    private readonly List<SettingsError> _errors;
    private readonly HashSet<string> _known = new(StringComparer.Ordinal);

    internal SettingsReader(ConfigurationNode section, List<SettingsError> errors)
    {
        _errors = errors;
        _section = section;
        if (section.Children is null)
        {
            Refuse(section, "a section { ... }");
            _section = ConfigurationNode.EmptySection(section.Path);
        }
    }

    /// <summary>The section's own path.</summary>
    internal string Path => _section.Path;

    /// <summary>The sections in this one, whatever their names.</summary>
    internal IEnumerable<(string Name, ConfigurationNode Node)> Named()
    {
        foreach ((string name, ConfigurationNode node) in _section.Children!)
        {
            _known.Add(name);
            yield return (name, node);
        }
    }

    /// <summary>The section under a key; an empty one when it is missing.</summary>
    internal ConfigurationNode Node(string key) => Find(key) ?? ConfigurationNode.EmptySection(ConfigurationNode.Join(Path, key));

    /// <summary>A reader of the section under a key.</summary>
    internal SettingsReader Section(string key) => new(Node(key), _errors);

    /// <summary>The single value under a key; default when it is missing or wrong.</summary>
    internal T Value<T>(string key, ValueForm<T> form)
    {
        ConfigurationNode? node = Required(key, form.Allowed);
        return node is null ? default! : Parse(node, node.Text, form);
    }

    /// <summary>A single text after the replacement of a placeholder, so that a default can serve many devices.</summary>
    internal string Template(string key, string placeholder, string replacement, ValueForm<string> form)
    {
        ConfigurationNode? node = Required(key, form.Allowed);
        string? text = node?.Text?.Replace(placeholder, replacement, StringComparison.Ordinal);
        return node is null ? "" : Parse(node, text, form) ?? "";
    }

    /// <summary>A list of values; one that stands alone is a list of one.</summary>
    /// <param name="key">The key.</param>
    /// <param name="form">Of each element.</param>
    /// <param name="empty">A word that stands for the empty list, if there is one.</param>
    internal ImmutableArray<T> List<T>(string key, ValueForm<T> form, string? empty = null)
    {
        string list = $"a list, each element {form.Allowed}";
        string allowed = empty is null ? list : $"{empty}, or {list}";
        ConfigurationNode? node = Required(key, allowed);
        if (node is null || (empty is not null && node.Text == empty))
        {
            return [];
        }

        if (node.Children is not null)
        {
            Refuse(node, allowed);
            return [];
        }

        ImmutableArray<string> items = node.Items.IsDefault ? [node.Text!] : node.Items;
        return [.. items.Select(item => Parse(node, item, form with { Allowed = allowed }))];
    }

    /// <summary>Adds an error about a key of this section that was read but does not fit with others; one for each key.</summary>
    internal void Refuse(string key, string problem)
    {
        string path = Find(key)?.Path ?? ConfigurationNode.Join(Path, key);
        if (!_errors.Any(error => error.Key == path))
        {
            _errors.Add(new SettingsError(path, problem));
        }
    }

    /// <summary>Call it last: every key that nobody asked for is an error.</summary>
    internal void RefuseUnknown()
    {
        foreach ((string key, ConfigurationNode node) in _section.Children!)
        {
            if (!_known.Contains(key))
            {
                string known = string.Join(", ", _known.Order(StringComparer.Ordinal));
                _errors.Add(new SettingsError(node.Path, $"unknown key; known here: {known}"));
            }
        }
    }

    private ConfigurationNode? Find(string key)
    {
        _known.Add(key);
        return _section.Children!.GetValueOrDefault(key);
    }

    private ConfigurationNode? Required(string key, string allowed)
    {
        ConfigurationNode? node = Find(key);
        if (node is null)
        {
            _errors.Add(new SettingsError(ConfigurationNode.Join(Path, key), $"missing; allowed is {allowed}"));
        }

        return node;
    }

    private T Parse<T>(ConfigurationNode node, string? text, ValueForm<T> form)
    {
        if (text is not null && form.TryParse(text, out T? value))
        {
            return value;
        }

        Refuse(node, form.Allowed, text);
        return default!;
    }

    private void Refuse(ConfigurationNode node, string allowed, string? text = null)
    {
        string found = string.IsNullOrEmpty(text) ? node.Found : $"'{text}'";
        _errors.Add(new SettingsError(node.Path, $"found {found}; allowed is {allowed}"));
    }
}
