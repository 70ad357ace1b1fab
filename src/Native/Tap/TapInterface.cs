using Ringmaster.Native.Linux;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Tap;

/// <summary>
/// A TAP interface and its queues: the host's end of a virtual cable. Frames go through the queues, each with a
/// virtio-net header before it.
/// </summary>
/// <remarks>
/// One thread at a time; the queues' workers are other threads and use nothing but their queue's descriptor. What is
/// set later takes effect in the interface's own network namespace, whatever thread sets it.
/// </remarks>
public sealed class TapInterface : IDisposable
{
    private readonly Rtnetlink _netlink;
    private readonly LinkInfo _link;
    private readonly TapQueue[] _queues;
    private readonly bool[] _attached;
    private readonly bool _multiQueue;
    private readonly string? _namespace;

    private TapInterface(
        Rtnetlink netlink,
        LinkInfo link,
        TapQueue[] queues,
        bool multiQueue,
        TapOffloads supported,
        string? networkNamespace)
    {
        _namespace = networkNamespace;
        _netlink = netlink;
        _link = link;
        _queues = queues;
        _attached = [.. Enumerable.Repeat(true, queues.Length)];
        _multiQueue = multiQueue;
        Supported = supported;
        Mtu = link.Mtu;
    }

    /// <summary>The interface's name, chosen by the kernel where the options left it open.</summary>
    public string Name => _link.Name;

    /// <summary>The queues, in order. Closed when the interface is disposed.</summary>
    public IReadOnlyList<TapQueue> Queues => _queues;

    /// <summary>What this kernel's TAP can leave undone.</summary>
    public TapOffloads Supported { get; }

    /// <summary>The MTU, as read when the interface was opened or as set here since.</summary>
    public int Mtu { get; private set; }

    /// <summary>
    /// Creates the interface, or takes over one that nobody else has open, and sets it up as the options say. All or
    /// nothing: after a failure no interface is left that was not there before, and one that was is as it was.
    /// </summary>
    /// <remarks>
    /// Offloads are off and the header has 12 bytes. An interface that was persistent before stays persistent.
    /// </remarks>
    /// <exception cref="ArgumentException">The options make no sense.</exception>
    /// <exception cref="LinuxException">The kernel refused; the message names the operation and the interface.</exception>
    public static TapInterface Open(TapOptions options)
    {
        TapOptionsCheck.Check(options);
        return options.NetworkNamespace is { } name ? NetworkNamespace.Run(name, () => OpenHere(options)) : OpenHere(options);
    }

    /// <summary>
    /// Sets what may be left undone in the frames that the queues give. What the kernel cannot do alone is left out: all
    /// without Csum, TsoEcn without TSO, Uso4 and Uso6 without each other.
    /// </summary>
    /// <returns>What is in force now.</returns>
    /// <exception cref="LinuxException">This kernel does not know one of them; see <see cref="Supported"/>.</exception>
    public TapOffloads SetOffloads(TapOffloads offloads)
    {
        TapOffloads possible = TapOffloadRules.Possible(offloads);
        TunDevice.SetOffloads(_queues[0].Fd, possible).OrThrow($"ioctl(TUNSETOFFLOAD, {Name}, {possible})");
        return possible;
    }

    /// <summary>Sets the length of the header before every frame: 12, or 10 for a legacy guest without MRG_RXBUF.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public void SetHeaderSize(int bytes)
    {
        TunDevice.SetHeaderSize(_queues[0].Fd, bytes).OrThrow($"ioctl(TUNSETVNETHDRSZ, {Name}, {bytes})");
        Array.ForEach(_queues, queue => queue.HeaderSize = bytes);
    }

    /// <summary>Sets the MTU of the host's end.</summary>
    /// <exception cref="LinuxException">The kernel refused: too small or too large.</exception>
    public void SetMtu(int mtu)
    {
        _netlink.SetMtu(_link, mtu);
        Mtu = mtu;
    }

    /// <summary>
    /// Lets the kernel spread flows over a queue, or not. Without this, flows would be hashed into a queue that the
    /// guest does not serve. Setting what is set changes nothing; nor does anything on an interface that was made
    /// without IFF_MULTI_QUEUE, whose only queue cannot be detached.
    /// </summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public void SetQueueAttached(int queue, bool attached)
    {
        if (_attached[queue] != attached && _multiQueue)
        {
            TunDevice.SetAttached(_queues[queue].Fd, attached)
                .OrThrow($"ioctl(TUNSETQUEUE, {Name}, queue {queue}, {(attached ? "on" : "off")})");
            _attached[queue] = attached;
        }
    }

    /// <summary>
    /// Asks the kernel whether frames pass. One that is not in its network namespace any more may have been moved to another
    /// and live on there.
    /// </summary>
    /// <exception cref="LinuxException">The kernel does not say.</exception>
    public LinkState ReadLink() => _netlink.Find(_link.Index) switch
    {
        { Passes: true } => LinkState.Up,
        null when !HasInterface() => LinkState.Gone,
        _ => LinkState.Down,
    };

    /// <summary>Watches for whatever may change what <see cref="ReadLink"/> says.</summary>
    /// <param name="loop">Where to listen.</param>
    /// <param name="onChange">Called on the loop's thread; several changes may become one call. Must not block.</param>
    /// <returns>Ends the watch when it is disposed.</returns>
    /// <exception cref="LinuxException">No descriptor is left.</exception>
    public IDisposable WatchLink(ReadinessLoop loop, Action onChange)
    {
        int index = _link.Index;
        return _namespace is { } name
            ? NetworkNamespace.Run(name, () => new LinkWatch(index, loop, onChange))
            : new LinkWatch(index, loop, onChange);
    }

    /// <summary>
    /// Closes the queues. The interface goes with the last of them, unless it is persistent; a worker that still leases
    /// a queue keeps it until then.
    /// </summary>
    public void Dispose()
    {
        Release(_queues);
        _netlink.Dispose();
    }

    /// <summary>Whether the queues belong to an interface, wherever it is. A detached one tells only by being attached.</summary>
    private bool HasInterface()
    {
        int attached = Array.IndexOf(_attached, true);
        if (attached >= 0)
        {
            return TunDevice.Look(_queues[attached].Fd).Ok;
        }

        bool exists = TunDevice.SetAttached(_queues[0].Fd, on: true).Ok;
        return exists && TunDevice.SetAttached(_queues[0].Fd, on: false).Ok;
    }

    private static TapInterface OpenHere(TapOptions options)
    {
        var netlink = new Rtnetlink();
        var queues = new List<TapQueue>();
        LinkSetup? setup = null;
        try
        {
            LinkInfo? existing = options.Name.Length == 0 ? null : netlink.Find(options.Name);
            TapOptionsCheck.CheckExisting(options, existing);
            bool multiQueue = existing?.Tun is not { MultiQueue: false };
            LinkInfo link = OpenQueues(options, netlink, existing, multiQueue, queues);
            TapOffloads supported = PrepareFrames(queues[0].Fd, link.Name);

            if (existing is null)
            {
                // A TAP drops what its own queues cannot hold and never stops the stack: a queueing discipline never queues
                // anything. The default ones, 256 an interface, take some 6 MiB of the kernel's memory and most of the time
                // that setting the interface up takes. What an interface had before is its owner's.
                netlink.SetQueueless(link);
            }

            setup = existing is null ? null : new LinkSetup(netlink, existing);
            (setup ?? new LinkSetup(netlink, link)).Apply(options);
            LinkInfo final = netlink.Find(link.Name) ?? throw new LinuxException($"rtnetlink(look {link.Name} up)", Errno.ENODEV);
            if (options.Persist)
            {
                TunDevice.SetPersistent(queues[0].Fd, on: true).OrThrow($"ioctl(TUNSETPERSIST, {link.Name})");
            }

            return new TapInterface(netlink, final, [.. queues], multiQueue, supported, options.NetworkNamespace);
        }
        catch (Exception)
        {
            Abandon(setup, queues, netlink);
            throw;
        }
    }

    /// <summary>Opens every queue; the first one creates the interface where there is none.</summary>
    private static LinkInfo OpenQueues(
        TapOptions options,
        Rtnetlink netlink,
        LinkInfo? existing,
        bool multiQueue,
        List<TapQueue> queues)
    {
        int flags = TunDevice.IFF_TAP | TunDevice.IFF_NO_PI | TunDevice.IFF_VNET_HDR;
        flags |= multiQueue ? TunDevice.IFF_MULTI_QUEUE : 0;
        string name = options.Name;
        for (int index = 0; index < options.Queues; index++)
        {
            var queue = new TapQueue(index, TunDevice.Open());
            queues.Add(queue);

            // Whoever made an interface of that name a moment ago keeps it.
            bool creates = index == 0 && existing is null;
            name = TunDevice.Attach(queue.Fd, name, (ushort)(flags | (creates ? TunDevice.IFF_TUN_EXCL : 0)));
        }

        return netlink.Find(name) ?? throw new LinuxException($"rtnetlink(look {name} up)", Errno.ENODEV);
    }

    /// <summary>Sets the header's length, finds out which offloads there are, and leaves them off.</summary>
    private static TapOffloads PrepareFrames(OwnedFd queue, string name)
    {
        TunDevice.SetHeaderSize(queue, VirtioNetHeader.Size).OrThrow($"ioctl(TUNSETVNETHDRSZ, {name}, {VirtioNetHeader.Size})");
        TapOffloads supported = TapOffloadRules.Probes
            .Where(probe => TunDevice.SetOffloads(queue, probe).Ok)
            .Aggregate(TapOffloads.None, (all, one) => all | one);
        TunDevice.SetOffloads(queue, TapOffloads.None).OrThrow($"ioctl(TUNSETOFFLOAD, {name}, none)");
        return supported;
    }

    /// <summary>
    /// Undoes a failed opening. An interface that was made here goes with its queues; one that was there before gets its
    /// settings back.
    /// </summary>
    private static void Abandon(LinkSetup? setup, List<TapQueue> queues, Rtnetlink netlink)
    {
        try
        {
            setup?.Undo();
        }
        finally
        {
            Release(queues);
            netlink.Dispose();
        }
    }

    private static void Release(IEnumerable<TapQueue> queues)
    {
        foreach (TapQueue queue in queues)
        {
            queue.Fd.Dispose();
        }
    }
}
