using Ringmaster.Actors.Protocol;
using Ringmaster.Actors.Settings;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.Tap;
using Ringmaster.Native.VhostUser;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>A front-end's side of a session: sends messages one after the other and takes each step as it comes.</summary>
internal sealed class Conversation
{
    /// <summary>What a front-end acknowledges here: all, with split rings and no migration under way.</summary>
    internal const VirtioFeatures Everything =
        VhostUserSession.SupportedFeatures & ~(VirtioFeatures.RingPacked | VirtioFeatures.LogAll | VirtioFeatures.AccessPlatform);

    /// <summary>What a front-end acknowledges here: all, with addresses of its own.</summary>
    internal const ProtocolFeatures EveryProtocolFeature =
        VhostUserSession.SupportedProtocolFeatures & ~ProtocolFeatures.GpaAddresses;

    internal const int MaxQueueSize = 1024;
    internal const ulong UserAddress = 0x7f00_0000_0000;
    internal const ulong RegionSize = 0x10_0000;

    internal static readonly MacAddress Mac = MacAddress.Parse("02:00:00:00:00:01");

    internal static readonly MemoryRegionLayout Region = new(0, RegionSize, UserAddress, 0);

    internal static readonly DeviceProfile Profile = new(
        VhostUserSession.SupportedFeatures,
        VhostUserSession.SupportedProtocolFeatures,
        QueuePairs: 2,
        MaxQueueSize,
        QueueNumUnit.Vrings,
        Mac,
        Mtu: 1400);

    internal Conversation(DeviceProfile? profile = null) => State = VhostUserSession.Begin(profile ?? Profile);

    internal SessionState State { get; set; }

    internal SessionStep Last { get; private set; } = null!;

    /// <summary>All is negotiated as by QEMU before 11.1: protocol features but GPA_ADDRESSES, then device features.</summary>
    internal static Conversation Negotiated() => Negotiated(Profile);

    internal static Conversation Negotiated(DeviceProfile profile, VirtioFeatures acknowledged = Everything)
    {
        var conversation = new Conversation(profile);
        ProtocolFeatures offered = conversation.State.Profile.OfferedProtocolFeatures;
        conversation.Send(RequestCode.SetProtocolFeatures, U64((ulong)(offered & EveryProtocolFeature)));
        conversation.Send(RequestCode.SetOwner);
        conversation.Send(RequestCode.SetFeatures, U64((ulong)(conversation.State.Profile.OfferedFeatures & acknowledged)));
        return conversation;
    }

    /// <summary>The same, and there is memory.</summary>
    internal static Conversation WithMemory()
    {
        Conversation conversation = Negotiated();
        conversation.SetMemory();
        return conversation;
    }

    /// <summary>The same, and rings run and are enabled.</summary>
    internal static Conversation Running(params int[] rings)
    {
        Conversation conversation = WithMemory();
        foreach (int ring in rings)
        {
            conversation.Configure(ring);
            conversation.Send(RequestCode.SetVringKick, Index(ring), NewFd());
            conversation.Enable(ring, true);
        }

        return conversation;
    }

    internal void SetMemory(params MemoryRegionLayout[] regions)
    {
        MemoryRegionLayout[] table = regions.Length == 0 ? [Region] : regions;
        Send(RequestCode.SetMemTable, MemTable.ToBytes(table), [.. table.Select(_ => NewFd())]);
        foreach (SessionEffect effect in Last.Effects)
        {
            effect.Dispose();
        }
    }

    internal void Configure(int ring, int size = 256)
    {
        Send(RequestCode.SetVringNum, Ring(ring, (uint)size));
        Send(RequestCode.SetVringBase, Ring(ring, 0));
        Send(RequestCode.SetVringAddr, Addresses(ring).ToBytes());
    }

    internal void Enable(int ring, bool on) => Send(RequestCode.SetVringEnable, Ring(ring, on ? 1u : 0));

    internal Conversation Send(RequestCode code, ReadOnlyMemory<byte> payload = default, params OwnedFd[] fds) =>
        Send(VhostUserMessage.Create(code, payload, fds));

    /// <summary>Asks for an acknowledgement and returns what came: 0, another number, or null for nothing.</summary>
    internal ulong? Ask(RequestCode code, ReadOnlyMemory<byte> payload = default, params OwnedFd[] fds)
    {
        Send(VhostUserMessage.Create(code, payload, fds, needReply: true));
        return Number();
    }

    /// <summary>Sends a request that has a reply of its own, and returns the number in it.</summary>
    internal ulong? Get(RequestCode code)
    {
        Send(code);
        return Number();
    }

    internal Conversation Send(VhostUserMessage message)
    {
        Last = VhostUserSession.Step(State, message);
        State = Last.Next;
        return this;
    }

    internal ReadOnlyMemory<byte>? Payload() => Last.Reply.ToPayload(State);

    internal RingPlan? Plan(int ring) => State.PlanOf(ring);

    internal static OwnedFd NewFd() => new EventFd().Fd;

    internal static ReadOnlyMemory<byte> U64(ulong value) => new U64Payload(value).ToBytes();

    internal static ReadOnlyMemory<byte> Ring(int index, uint number) => new VringState((uint)index, number).ToBytes();

    internal static ReadOnlyMemory<byte> Index(int index, bool noFd = false) => new VringFd((byte)index, noFd).ToBytes();

    /// <summary>Room for 1024 descriptors a part, 64 KiB a ring.</summary>
    internal static VringAddresses Addresses(int ring)
    {
        ulong start = UserAddress + (0x1_0000 * (ulong)ring);
        return new VringAddresses((uint)ring, 0, start, start + 0x8000, start + 0x6000, 0);
    }

    private ulong? Number() =>
        Payload() is { } bytes && U64Payload.TryRead(bytes.Span, out U64Payload value) ? value.Value : null;
}
