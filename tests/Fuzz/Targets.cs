namespace Ringmaster.Fuzz;

/// <summary>What a fuzzer can be let loose on. A target throws, or ends the process, when a rule is broken.</summary>
public static class Targets
{
    /// <summary>The targets by name.</summary>
    public static IReadOnlyDictionary<string, Action<byte[]>> All { get; } = new Dictionary<string, Action<byte[]>>
    {
        ["messages"] = MessageTarget.Run,
        ["rings"] = RingTarget.Run,
    };
}
