using Ringmaster.Native.Linux;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Driver;

/// <summary>
/// The guest's network card: negotiates with any vhost-user-net back-end, sets up rings and buffers, and starts them.
/// Blocks while it negotiates; the queue pairs then belong to the callers' threads.
/// </summary>
public sealed class VirtioNetDriver : IDisposable
{
    private const byte StatusFeaturesOk = 8;
    private const byte StatusBegun = 1 | 2;
    private const byte StatusDriverOk = 4;
    private readonly NetQueuePair[] _pairs;
    private readonly VirtioNetOptions _options;
    private readonly bool _ownsRam;
    private IReadOnlyList<uint>? _bases;
    private InflightBuffer? _inflight;

    private VirtioNetDriver(FrontendClient client, VirtioNetOptions options, GuestRam? ram)
    {
        Client = client;
        _options = options;
        Negotiate();
        var layout = new NetLayout(options, client.Features);
        _ownsRam = ram is null;
        Ram = ram ?? new GuestRam(options.Ram ?? new GuestRamOptions { Pieces = [new RamPiece(0, layout.RamFor(options))] });
        _pairs = [.. Enumerable.Range(0, options.Pairs).Select(index => new NetQueuePair(index, Ram, options, layout))];
        ShareMemory();
    }

    /// <summary>The connection.</summary>
    public FrontendClient Client { get; private set; }

    /// <summary>The guest's memory.</summary>
    public GuestRam Ram { get; }

    /// <summary>The queue pairs.</summary>
    public IReadOnlyList<NetQueuePair> Pairs => _pairs;

    /// <summary>The acknowledged device features.</summary>
    public VirtioFeatures Features => Client.Features;

    /// <summary>What GET_QUEUE_NUM said (pairs or vrings, by the back-end's taste), or null without MQ.</summary>
    public ulong? QueueNum { get; private set; }

    /// <summary>Negotiates, shares memory, posts receive buffers and starts every ring.</summary>
    /// <param name="client">Connected and fresh; owned by the driver from here on.</param>
    /// <param name="options">How to behave.</param>
    /// <param name="ram">Memory to use, which stays the caller's; null = memory of its own.</param>
    public static VirtioNetDriver Start(FrontendClient client, VirtioNetOptions? options = null, GuestRam? ram = null)
    {
        VirtioNetDriver driver = Prepare(client, options, ram);
        driver.StartRings();
        return driver;
    }

    /// <summary>As <see cref="Start"/>, but leaves the rings stopped and empty.</summary>
    public static VirtioNetDriver Prepare(FrontendClient client, VirtioNetOptions? options = null, GuestRam? ram = null) =>
        new(client, options ?? new VirtioNetOptions(), ram);

    /// <summary>The MAC address in the device's configuration space; null without MAC or CONFIG.</summary>
    public byte[]? ReadMac() =>
        Features.HasFlag(VirtioFeatures.Mac) && Client.ProtocolFeatures.HasFlag(ProtocolFeatures.Config)
            ? Client.GetConfig(0, 6)
            : null;

    /// <summary>
    /// Posts the receive buffers and starts all rings: from where <see cref="StopRings"/> says that they stopped, else
    /// after the last chain that came back.
    /// </summary>
    /// <param name="fromPublished">
    /// True: tell the back-end to go on after the last chain published, as some front-ends do after a reconnect, although chains
    /// before it have not come back.
    /// </param>
    public void StartRings(bool fromPublished = false)
    {
        ShareInflight();
        foreach (NetQueuePair pair in _pairs)
        {
            pair.PostAll();
            StartRing(2 * pair.Index, pair.Rx, pair.RxKick, pair.RxCall, pair.RxError, fromPublished);
            StartRing((2 * pair.Index) + 1, pair.Tx, pair.TxKick, pair.TxCall, pair.TxError, fromPublished);
        }

        if (Client.Features.HasFlag(VirtioFeatures.ProtocolFeatures))
        {
            for (int ring = 0; ring < 2 * _pairs.Length; ring++)
            {
                Client.SetVringEnable(ring, on: true);
            }
        }

        if (Client.ProtocolFeatures.HasFlag(ProtocolFeatures.Status))
        {
            Client.SetStatus(StatusBegun | StatusFeaturesOk | StatusDriverOk);
        }

        _bases = null;
        Client.GetFeatures();
        foreach (NetQueuePair pair in _pairs)
        {
            pair.RxKick.Signal();
        }
    }

    /// <summary>Sleeps until something was received on one of the pairs.</summary>
    /// <returns>False when the time is over.</returns>
    public bool WaitRx(TimeSpan timeout)
    {
        bool ready = false;
        foreach (NetQueuePair pair in _pairs)
        {
            pair.RxCall.Drain();
            ready |= pair.Rx.EnableCalls();
        }

        ready = ready || FdWait.ForAny([.. _pairs.Select(pair => pair.RxCall.Fd)], timeout);
        foreach (NetQueuePair pair in _pairs)
        {
            pair.Rx.DisableCalls();
        }

        return ready;
    }

    /// <summary>Stops all rings by GET_VRING_BASE; what is in them stays.</summary>
    /// <returns>The index of each ring.</returns>
    public IReadOnlyList<uint> StopRings() => _bases = [.. Enumerable.Range(0, 2 * _pairs.Length).Select(Client.GetVringBase)];

    /// <summary>
    /// Resets one ring while the others run, and sets it up anew elsewhere in memory (VIRTIO_F_RING_RESET). What was in it is
    /// lost. That it is enabled is not said again.
    /// </summary>
    /// <param name="ring">Its number.</param>
    /// <param name="size">Its size from here on; no more than it began with.</param>
    public void ResetRing(int ring, int size)
    {
        NetQueuePair pair = _pairs[ring / 2];
        Client.GetVringBase(ring);
        if (ring % 2 == 0)
        {
            pair.ResetRx(size);
            StartRing(ring, pair.Rx, pair.RxKick, pair.RxCall, pair.RxError, fromPublished: false);
        }
        else
        {
            pair.ResetTx(size);
            StartRing(ring, pair.Tx, pair.TxKick, pair.TxCall, pair.TxError, fromPublished: false);
        }

        // The back-end has done all of it when it answers.
        Client.GetFeatures();
    }

    /// <summary>Stops all rings, forgets them and starts with empty ones, as a guest does that reboots.</summary>
    public void Reboot()
    {
        StopRings();
        _bases = null;
        ForgetInflight();
        foreach (NetQueuePair pair in _pairs)
        {
            pair.Reset();
        }

        StartRings();
    }

    /// <summary>Goes on over a new connection with the rings as they are, as after a restart of the back-end.</summary>
    /// <param name="client">Connected and fresh; owned by the driver from here on.</param>
    /// <param name="fromPublished">As for <see cref="StartRings"/>.</param>
    public void Reconnect(FrontendClient client, bool fromPublished = false)
    {
        VirtioFeatures before = Client.Features;
        _bases = null;
        Client.Dispose();
        Client = client;
        Negotiate();
        if (Client.Features != before)
        {
            throw new FrontendException($"The back-end came back with features {Client.Features} instead of {before}.");
        }

        ShareMemory();
        StartRings(fromPublished);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Client.Dispose();
        ForgetInflight();
        foreach (NetQueuePair pair in _pairs)
        {
            pair.Dispose();
        }

        if (_ownsRam)
        {
            Ram.Dispose();
        }
    }

    private void Negotiate()
    {
        Client.SetOwner();
        VirtioFeatures features = Client.GetFeatures() & _options.Features;
        if (features.HasFlag(VirtioFeatures.ProtocolFeatures))
        {
            Client.SetProtocolFeatures(Client.GetProtocolFeatures() & _options.ProtocolFeatures);
        }

        if (Client.ProtocolFeatures.HasFlag(ProtocolFeatures.Mq))
        {
            QueueNum = Client.GetQueueNum();
        }

        if (_options.Pairs > (int)(QueueNum ?? 1))
        {
            throw new FrontendException($"The back-end has {QueueNum ?? 1} queues, {_options.Pairs} pairs are wanted.");
        }

        Client.SetFeatures(features);
        if (Client.ProtocolFeatures.HasFlag(ProtocolFeatures.Status))
        {
            Client.SetStatus(StatusBegun | StatusFeaturesOk);
            if ((Client.GetStatus() & StatusFeaturesOk) == 0)
            {
                throw new FrontendException($"The back-end does not accept the features {features}.");
            }
        }
    }

    /// <summary>With INFLIGHT_SHMFD: a buffer is asked for once, and sent before rings start, over any connection.</summary>
    private void ShareInflight()
    {
        if (Client.ProtocolFeatures.HasFlag(ProtocolFeatures.InflightShmfd))
        {
            _inflight ??= Client.GetInflightFd(2 * _pairs.Length, _options.QueueSize);
            Client.SetInflightFd(_inflight);
        }
    }

    private void ForgetInflight()
    {
        _inflight?.Dispose();
        _inflight = null;
    }

    private void ShareMemory()
    {
        if (Features.HasFlag(VirtioFeatures.AccessPlatform))
        {
            Client.SetMemTableBehindIommu(Ram);
            return;
        }

        if (!_options.AddRegions || !Client.ProtocolFeatures.HasFlag(ProtocolFeatures.ConfigureMemSlots))
        {
            Client.SetMemTable(Ram);
            return;
        }

        for (int region = 0; region < Ram.Regions.Count; region++)
        {
            Client.AddMemReg(Ram, region);
        }
    }

    private void StartRing(int index, DriverRing ring, EventFd kick, EventFd call, EventFd error, bool fromPublished)
    {
        Client.SetVringNum(index, (uint)ring.Size);
        Client.SetVringBase(index, _bases?[index] ?? (fromPublished ? ring.PublishedBase : ring.Base));
        Client.SetVringAddr(index, UserAddresses(ring));
        if (_options.Inband)
        {
            return;
        }

        Client.SetVringErr(index, error.Fd);
        Client.SetVringCall(index, _options.Polling ? null : call.Fd);
        Client.SetVringKick(index, kick.Fd);
    }

    /// <summary>
    /// A ring's addresses as SET_VRING_ADDR wants them: the front-end's own; with GPA_ADDRESSES the guest's; behind an IOMMU as
    /// the device is to see them.
    /// </summary>
    public RingAddresses UserAddresses(DriverRing ring) =>
        Client.ProtocolFeatures.HasFlag(ProtocolFeatures.GpaAddresses) || Features.HasFlag(VirtioFeatures.AccessPlatform)
        ? ring.Addresses
        : new RingAddresses(
            Ram.ToUser(ring.Addresses.Descriptors),
            Ram.ToUser(ring.Addresses.Driver),
            Ram.ToUser(ring.Addresses.Device));
}
