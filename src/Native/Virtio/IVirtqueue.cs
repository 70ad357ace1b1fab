using Ringmaster.Native.Memory;
using Ringmaster.Native.Worker;

namespace Ringmaster.Native.Virtio;

/// <summary>
/// The device's half of a virtqueue, whatever its format. Implemented by structs and used through type parameters, so
/// that each packet path is compiled once per format, without a virtual call per descriptor.
/// </summary>
/// <remarks>
/// The order of calls in a batch: <see cref="TryPop"/> any number of times, <see cref="Rewind"/> for the chains at the
/// end that were not needed, <see cref="Use"/> for each of the rest in the order popped (or <see cref="UseUnwritten"/> for
/// all of them), <see cref="Publish"/> once, <see cref="MustCall"/> once. Between two batches every chain popped has been
/// used or rewound, so <see cref="Base"/> is all that is needed to go on elsewhere. The worker's thread only.
/// </remarks>
internal interface IVirtqueue<TSelf>
    where TSelf : struct, IVirtqueue<TSelf>
{
    /// <summary>Attaches to a ring in guest memory, at the place where it is to go on.</summary>
    /// <returns>Null on success, else why the ring cannot run.</returns>
    static abstract string? TryAttach(RingPlan plan, GuestView view, out TSelf ring);

    /// <summary>Attaches again, after memory, log, addresses or features changed while the ring ran; its indices go on.</summary>
    /// <returns>Null on success, else why the ring cannot go on; it is then unchanged.</returns>
    string? TryReattach(RingPlan plan, GuestView view);

    /// <summary>Takes the next available chain.</summary>
    /// <param name="space">Receives the chain's buffers.</param>
    /// <param name="deviceWrites">True on a receive ring: all buffers must be device-writable; else all device-readable.</param>
    /// <param name="chain">The chain, when the result is Popped or BadChain.</param>
    PopStatus TryPop(VectorSpace space, bool deviceWrites, out Chain chain);

    /// <summary>
    /// Has the CPU fetch the next available chains and their buffers into its cache while the chains popped are worked on.
    /// A hint: it acts on nothing that it reads, and a chain that it cannot follow is left out.
    /// </summary>
    /// <param name="chains">How many to look at, at most.</param>
    /// <param name="longest">Longer buffers are left out: they would be pushed out of the cache again before their turn.</param>
    void Prefetch(int chains, uint longest);

    /// <summary>Makes the last <paramref name="slots"/> ring slots popped available again, as if never looked at.</summary>
    void Rewind(int slots);

    /// <summary>Notes that a chain was used. Not visible to the driver before <see cref="Publish"/>.</summary>
    /// <param name="chain">The oldest chain popped and not used yet.</param>
    /// <param name="written">Bytes written into its buffers; 0 for transmit and for bad chains.</param>
    void Use(in Chain chain, uint written);

    /// <summary>
    /// Notes that chains were used without a byte written, as on a transmit ring. With IN_ORDER one used entry, of the last
    /// chain, stands for them all (virtio 1.3 sections 2.7.9 and 2.8.8): the driver takes the skipped ones as wholly used.
    /// </summary>
    /// <param name="chains">The oldest chains popped and not used yet, in order.</param>
    void UseUnwritten(ReadOnlySpan<Chain> chains);

    /// <summary>Makes all used chains visible to the driver at once.</summary>
    void Publish();

    /// <summary>After <see cref="Publish"/>: whether the driver wants a call for what was published since the last one.</summary>
    bool MustCall();

    /// <summary>Tells the driver that kicks are not needed. A kick may come all the same.</summary>
    void SuppressKicks();

    /// <summary>Asks the driver for a kick.</summary>
    /// <param name="ahead">How many slots that are available already do not count: 0 = a kick at the next chain.</param>
    /// <returns>True when chains beyond those are available now, so that no kick need be awaited.</returns>
    bool RequestKicks(int ahead);

    /// <summary>True when at least one chain is available. Reads guest memory, orders nothing.</summary>
    bool HasWork { get; }

    /// <summary>What the last look at the ring lacked, until the ring is attached again.</summary>
    IotlbMiss? Missing { get; }

    /// <summary>Where the ring stands, in the form of <c>RingPlan.Base</c>.</summary>
    uint Base { get; }
}
