using System.Buffers.Binary;
using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Tap;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Device;

/// <summary>
/// The network card: a TAP interface whose queues are the pairs, offloads and header size that follow what the guest
/// acknowledged, queues that are attached as their pairs become active. All that is particular to networking outside Native
/// stands here and in <see cref="NetworkFeatures"/>.
/// </summary>
internal sealed class NetworkCard : IDeviceKind
{
    private const int RarpFrameLength = 60;

    private readonly DeviceSettings _settings;
    private TapInterface? _tap;
    private TapOffloads _offloads = TapOffloads.None;
    private int _headerSize = VirtioNetHeader.Size;
    private int _ownMtu;
    private IDisposable? _watch;

    internal NetworkCard(DeviceSettings settings) => _settings = settings;

    /// <inheritdoc/>
    public string Type => "net";

    private TapInterface Tap => _tap ?? throw new InvalidOperationException($"device {_settings.Name} is not open");

    /// <inheritdoc/>
    public DeviceProfile Open()
    {
        TapSettings tap = _settings.Tap;
        _tap = TapInterface.Open(new TapOptions
        {
            Name = tap.Name,
            Queues = _settings.QueuePairs,
            NetworkNamespace = tap.Netns,
            Persist = tap.Persist,
            HostMac = tap.HostMac,
            Mtu = _settings.Mtu,
            Addresses = tap.Addresses,
            Bridge = tap.Bridge,
        });
        _ownMtu = _tap.Mtu;
        Apply(DeviceDemand.None);
        return new DeviceProfile(
            NetworkFeatures.Offered(_settings.Features, _tap.Supported),
            _settings.ProtocolFeatures,
            _settings.QueuePairs,
            _settings.QueueSize,
            _settings.QueueNum,
            _settings.Mac,
            _settings.Mtu);
    }

    /// <inheritdoc/>
    public void Apply(DeviceDemand demand)
    {
        // The header first: what is attached or unsegmented next is read with it.
        SetHeaderSize(NetworkFeatures.HeaderSize(demand.Features));
        SetOffloads(NetworkFeatures.Offloads(demand.Features) & Tap.Supported);
        SetMtu(demand.Mtu ?? _ownMtu);
        for (int queue = 0; queue < _settings.QueuePairs; queue++)
        {
            Tap.SetQueueAttached(queue, demand.ActivePairs.Contains(queue));
        }
    }

    /// <inheritdoc/>
    public void WatchLink(ReadinessLoop loop, Action onChange) => _watch = Tap.WatchLink(loop, onChange);

    /// <inheritdoc/>
    public LinkState ReadLink() => Tap.ReadLink();

    /// <inheritdoc/>
    public void ChangeMtu(int mtu)
    {
        SetMtu(mtu);
        _ownMtu = mtu;
    }

    /// <inheritdoc/>
    public WorkerPlan PlanWorker(int pair, long generation, int? cpu, WorkerCounters counters) => new(
        $"{_settings.Name}/pair-{pair}",
        generation,
        cpu,
        _settings.Worker.Io,
        _settings.Worker.BusyPoll,
        _settings.Worker.Merge,
        Tap.Queues[pair],
        counters);

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> Announcement(MacAddress mac)
    {
        // RFC 903: a "request reverse" that asks for, and thereby shows, the sender's own address.
        byte[] frame = new byte[RarpFrameLength];
        Span<byte> bytes = frame;
        bytes[..6].Fill(0xff);
        mac.CopyTo(bytes[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[12..], 0x8035); // EtherType: RARP
        BinaryPrimitives.WriteUInt16BigEndian(bytes[14..], 1);      // hardware: Ethernet
        BinaryPrimitives.WriteUInt16BigEndian(bytes[16..], 0x0800); // protocol: IPv4
        bytes[18] = MacAddress.Size;
        bytes[19] = sizeof(uint);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[20..], 3);      // operation: request reverse
        mac.CopyTo(bytes[22..]);                                    // sender; its IPv4 address stays 0
        mac.CopyTo(bytes[32..]);                                    // target; its IPv4 address stays 0
        return frame;
    }

    /// <inheritdoc/>
    public string Describe() => $"TAP {Tap.Name}, {_settings.QueuePairs} queue pairs, MTU {_ownMtu}, can offload {Tap.Supported}";

    /// <inheritdoc/>
    public void Dispose()
    {
        _watch?.Dispose();
        _tap?.Dispose();
    }

    private void SetHeaderSize(int bytes)
    {
        if (bytes != _headerSize)
        {
            Tap.SetHeaderSize(bytes);
            _headerSize = bytes;
        }
    }

    private void SetOffloads(TapOffloads offloads)
    {
        if (offloads != _offloads)
        {
            Tap.SetOffloads(offloads);
            _offloads = offloads;
        }
    }

    private void SetMtu(int mtu)
    {
        if (mtu != Tap.Mtu)
        {
            Tap.SetMtu(mtu);
        }
    }
}
