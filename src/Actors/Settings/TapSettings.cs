using System.Collections.Immutable;
using Ringmaster.Native.Tap;

namespace Ringmaster.Actors.Settings;

/// <summary>The host's end of a card: <c>tap { }</c>.</summary>
public sealed record TapSettings
{
    /// <summary>The interface's name, 1 to 15 bytes; <c>%d</c> lets the kernel choose a number.</summary>
    public required string Name { get; init; }

    /// <summary>Addresses to put on the interface; may be empty.</summary>
    public ImmutableArray<IpPrefix> Addresses { get; init; } = [];

    /// <summary>The host side's MAC; null = the kernel's choice.</summary>
    public MacAddress? HostMac { get; init; }

    /// <summary>The bridge to join, or null.</summary>
    public string? Bridge { get; init; }

    /// <summary>The interface's network namespace: a name in <c>/run/netns</c> or a path; null = the process's own.</summary>
    public string? Netns { get; init; }

    /// <summary>True: the interface outlives the process.</summary>
    public required bool Persist { get; init; }
}
