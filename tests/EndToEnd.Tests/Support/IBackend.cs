namespace Ringmaster.EndToEnd.Tests.Support;

/// <summary>
/// A vhost-user-net back-end under test, with a TAP as its other end. The checks are the same for every back-end, so that
/// running them against DPDK's tells a fault of the harness from a fault of the product.
/// </summary>
internal interface IBackend : IAsyncDisposable
{
    /// <summary>The Unix socket that a front-end connects to, or listens on.</summary>
    string Socket { get; }

    /// <summary>The TAP's name in <see cref="Namespace"/>.</summary>
    string Tap { get; }

    TestNamespace Namespace { get; }

    /// <summary>The process that serves, for /proc and signals.</summary>
    ManagedProcess Process { get; }
}

/// <summary>What both kinds of back-end are given.</summary>
internal sealed record BackendOptions
{
    internal int QueuePairs { get; init; } = 2;

    /// <summary>The TAP's addresses with their prefix lengths.</summary>
    internal IReadOnlyList<string> Addresses { get; init; } = [];

    /// <summary>The TAP's own MAC address; null for one that the kernel makes up.</summary>
    internal string? HostMac { get; init; }

    /// <summary>The front-end listens and the back-end connects; Ringmaster alone.</summary>
    internal bool FrontEndListens { get; init; }

    /// <summary>Further keys of the device, such as <c>features.ring-reset=on</c>; Ringmaster alone.</summary>
    internal IReadOnlyList<string> Keys { get; init; } = [];

    /// <summary>Guests have an IOMMU (ACCESS_PLATFORM).</summary>
    internal bool AccessPlatform { get; init; }

    /// <summary>
    /// A second device of one queue pair, <c>net1</c>: its socket is the first one's with a 1 after it, its TAP is
    /// <c>rmtap1</c>. Ringmaster alone.
    /// </summary>
    internal bool Neighbour { get; init; }

    /// <summary>The device's MTU, offered to the guest and set on the TAP; null for the back-end's default.</summary>
    internal int? Mtu { get; init; }

    /// <summary>The CPU that all threads stay on; null for any. DPDK's polling thread is on CPU 0 in any case.</summary>
    internal int? Cpu { get; init; }

    /// <summary>Ringmaster alone: more keys of the device, such as <c>worker.io=syscall</c>.</summary>
    internal IReadOnlyList<string> Settings { get; init; } = [];
}
