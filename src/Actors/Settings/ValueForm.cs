using System.Diagnostics.CodeAnalysis;

namespace Ringmaster.Actors.Settings;

/// <summary>Turns the text of a HOCON value into what it means; false when it is not of the form.</summary>
internal delegate bool ValueParser<T>(string text, [MaybeNullWhen(false)] out T value);

/// <summary>One kind of value: how it is read, and how an error says what is allowed.</summary>
/// <param name="Allowed">Completes the sentence "allowed is ...".</param>
/// <param name="TryParse">Reads it.</param>
internal sealed record ValueForm<T>(string Allowed, ValueParser<T> TryParse);
