using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;

namespace Ringmaster.Native.Driver;

/// <summary>How the guest's half behaves.</summary>
public sealed record VirtioNetOptions
{
    /// <summary>Device features that a present-day guest acknowledges where they are offered.</summary>
    public const VirtioFeatures ModernFeatures =
        VirtioFeatures.Version1 | VirtioFeatures.ProtocolFeatures | VirtioFeatures.AnyLayout | VirtioFeatures.IndirectDesc
        | VirtioFeatures.EventIdx | VirtioFeatures.MrgRxbuf | VirtioFeatures.Csum | VirtioFeatures.GuestCsum
        | VirtioFeatures.HostTso4 | VirtioFeatures.HostTso6 | VirtioFeatures.HostEcn | VirtioFeatures.HostUfo
        | VirtioFeatures.HostUso
        | VirtioFeatures.GuestTso4 | VirtioFeatures.GuestTso6 | VirtioFeatures.GuestEcn | VirtioFeatures.GuestUfo
        | VirtioFeatures.GuestUso4 | VirtioFeatures.GuestUso6 | VirtioFeatures.Mac | VirtioFeatures.Mtu | VirtioFeatures.Mq
        | VirtioFeatures.CtrlVq | VirtioFeatures.Status;

    /// <summary>The features because of which a received frame may be 64 KiB long.</summary>
    public const VirtioFeatures LargeReceive =
        VirtioFeatures.GuestTso4 | VirtioFeatures.GuestTso6 | VirtioFeatures.GuestUfo | VirtioFeatures.GuestUso4
        | VirtioFeatures.GuestUso6;

    /// <summary>The longest frame that a large receive or send carries, without the header.</summary>
    public const int LargestFrame = 65550;

    /// <summary>Queue pairs to use.</summary>
    public int Pairs { get; init; } = 1;

    /// <summary>Descriptors in each ring.</summary>
    public int QueueSize { get; init; } = 256;

    /// <summary>Acknowledge these where they are offered; add RING_PACKED and IN_ORDER for those.</summary>
    public VirtioFeatures Features { get; init; } = ModernFeatures;

    /// <summary>Acknowledge these where they are offered.</summary>
    public ProtocolFeatures ProtocolFeatures { get; init; } =
        ProtocolFeatures.Mq | ProtocolFeatures.ReplyAck | ProtocolFeatures.Mtu | ProtocolFeatures.Config | ProtocolFeatures.Rarp
        | ProtocolFeatures.ConfigureMemSlots | ProtocolFeatures.Status | ProtocolFeatures.ResetDevice;

    /// <summary>True: memory is passed by ADD_MEM_REG where CONFIGURE_MEM_SLOTS is offered; false: by SET_MEM_TABLE.</summary>
    public bool AddRegions { get; init; }

    /// <summary>
    /// Bytes of a receive buffer, header included; 0 = for the expected frame with mergeable buffers, else as long as a frame can
    /// be.
    /// </summary>
    public int ReceiveBufferSize { get; init; }

    /// <summary>
    /// How many bytes most received frames have. Mergeable buffers are as long, but at least 2 KiB and at most 4 KiB: Linux's
    /// driver as well gives long frames a page at a time.
    /// </summary>
    public int ExpectedFrame { get; init; }

    /// <summary>How many receive buffers are posted at most; fewer leave room on the ring for chains made by hand.</summary>
    public int ReceiveBuffers { get; init; } = int.MaxValue;

    /// <summary>Into how many descriptors a receive buffer is cut.</summary>
    public int ReceivePieces { get; init; } = 1;

    /// <summary>Bytes of a transmit buffer, header included; 0 = as long as a frame can be.</summary>
    public int TransmitBufferSize { get; init; }

    /// <summary>Where a frame is cut into descriptors, in bytes from the header's first; empty = one descriptor.</summary>
    public IReadOnlyList<int> TransmitCuts { get; init; } = [];

    /// <summary>True: chains of more than one descriptor go into an indirect table where INDIRECT_DESC is acknowledged.</summary>
    public bool Indirect { get; init; } = true;

    /// <summary>True: the driver never waits and hands out no call fds.</summary>
    public bool Polling { get; init; }

    /// <summary>
    /// True: no fds are handed out for kicks, calls and errors. INBAND_NOTIFICATIONS must be acknowledged; an
    /// <see cref="InbandBridge"/> then carries them.
    /// </summary>
    public bool Inband { get; init; }

    /// <summary>The user-visible layout of memory; null = one region that is large enough.</summary>
    public GuestRamOptions? Ram { get; init; }
}
