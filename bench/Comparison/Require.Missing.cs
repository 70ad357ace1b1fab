namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>Without what it needs, a contender is left out, and the report says why.</summary>
internal static partial class Require
{
    private static partial void Missing(string reason) => throw new RequirementException(reason);
}
