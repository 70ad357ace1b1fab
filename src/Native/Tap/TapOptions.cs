namespace Ringmaster.Native.Tap;

/// <summary>What a TAP interface is to be like.</summary>
public sealed record TapOptions
{
    /// <summary>Longest name of an interface, in bytes.</summary>
    public const int MaxNameLength = 15;

    /// <summary>The most queues that the kernel gives one interface.</summary>
    public const int MaxQueues = 256;

    /// <summary>The interface's name; empty or with <c>%d</c> in it, the kernel chooses a free number.</summary>
    public required string Name { get; init; }

    /// <summary>1 to <see cref="MaxQueues"/>.</summary>
    public required int Queues { get; init; }

    /// <summary>Name (as under /run/netns) or path of the network namespace to create it in; null = the current one.</summary>
    public string? NetworkNamespace { get; init; }

    /// <summary>True to keep the interface when its last queue closes.</summary>
    public bool Persist { get; init; }

    /// <summary>The MAC address of the host's end; null = the kernel chooses.</summary>
    public MacAddress? HostMac { get; init; }

    /// <summary>The MTU; null = leave it (1500 on a new interface).</summary>
    public int? Mtu { get; init; }

    /// <summary>Addresses of the host's end.</summary>
    public IReadOnlyList<IpPrefix> Addresses { get; init; } = [];

    /// <summary>A bridge, in the same network namespace, to join; null = none.</summary>
    public string? Bridge { get; init; }
}
