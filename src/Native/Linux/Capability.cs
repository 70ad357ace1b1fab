namespace Ringmaster.Native.Linux;

/// <summary>What to tell somebody who may not do what he tried.</summary>
internal static class Capability
{
    internal const string Hint =
        "needs CAP_NET_ADMIN in this network namespace; an ordinary user has it in one of his own: unshare -Urn";
}
