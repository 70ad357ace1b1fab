namespace Ringmaster.Native.Tests.Support;

/// <summary>
/// Tests that change something of the whole process, such as its limit of open files, or count what it holds, run while no other
/// does.
/// </summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    internal const string Name = "alone";
}
