namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>The machine lacks something; the message says what, and how to get it.</summary>
internal sealed class RequirementException(string message) : Exception(message);
