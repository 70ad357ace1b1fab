using System.Collections.Immutable;
using Ringmaster.Actors.Protocol;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Device;

/// <summary>
/// What is particular to one kind of device, behind the supervisor, session, memory and supervision that all kinds
/// share. A network card is <see cref="NetworkCard"/>.
/// </summary>
/// <remarks>
/// <see cref="Open"/>, <see cref="WatchLink"/>, <see cref="Apply"/>, <see cref="ReadLink"/>, <see cref="ChangeMtu"/> and
/// Dispose may block (the kernel's rtnl lock, for one). They run away from the actors and one at a time. The other members
/// only compute; they are called by the supervisor once the device is open.
/// </remarks>
public interface IDeviceKind : IDisposable
{
    /// <summary>The word of <c>--print-capabilities</c>: <c>net</c>.</summary>
    string Type { get; }

    /// <summary>Acquires the host's side.</summary>
    /// <returns>What is offered to front-ends: what was configured, as far as the host can do it.</returns>
    /// <exception cref="IOException">The host's side is not to be had; the text is for the operator.</exception>
    DeviceProfile Open();

    /// <summary>Makes the host's side as demanded.</summary>
    /// <exception cref="IOException">The host refuses; the text is for the operator.</exception>
    void Apply(DeviceDemand demand);

    /// <summary>Watches the host's side, once it is open, for whatever may change what <see cref="ReadLink"/> says.</summary>
    /// <param name="loop">Where to listen.</param>
    /// <param name="onChange">Called on the loop's thread. Must not block.</param>
    /// <exception cref="IOException">It cannot be watched; the text is for the operator.</exception>
    void WatchLink(ReadinessLoop loop, Action onChange);

    /// <summary>Whether the link to the host is up, and whether there is one at all.</summary>
    /// <exception cref="IOException">It is not known; the text is for the operator.</exception>
    LinkState ReadLink();

    /// <summary>Changes the MTU that holds where no front-end says another.</summary>
    /// <param name="mtu">The MTU.</param>
    /// <exception cref="IOException">The host refuses, and all is as before; the text is for the operator.</exception>
    void ChangeMtu(int mtu);

    /// <summary>The plan of a worker.</summary>
    /// <param name="pair">The pair's number.</param>
    /// <param name="generation">Of the worker.</param>
    /// <param name="cpu">The CPU to pin to, or null.</param>
    /// <param name="counters">Of the pair.</param>
    WorkerPlan PlanWorker(int pair, long generation, int? cpu, WorkerCounters counters);

    /// <summary>The frame that SEND_RARP asks for.</summary>
    /// <param name="mac">The guest's address.</param>
    ReadOnlyMemory<byte> Announcement(MacAddress mac);

    /// <summary>The host's side in a few words, for the log.</summary>
    string Describe();
}

/// <summary>What the host's side of a device is to be like; compared by value.</summary>
/// <param name="Features">The acknowledged device features.</param>
/// <param name="Mtu">What NET_SET_MTU said, or null for the configured one.</param>
/// <param name="ActivePairs">The pairs that take frames from the host, ascending.</param>
public sealed record DeviceDemand(VirtioFeatures Features, int? Mtu, ImmutableArray<int> ActivePairs)
{
    /// <summary>Nobody is connected.</summary>
    public static DeviceDemand None { get; } = new(VirtioFeatures.None, null, []);

    /// <inheritdoc/>
    public bool Equals(DeviceDemand? other) =>
        other is not null
        && Features == other.Features
        && Mtu == other.Mtu
        && ActivePairs.AsSpan().SequenceEqual(other.ActivePairs.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Features, Mtu, ActivePairs.Length);
}
