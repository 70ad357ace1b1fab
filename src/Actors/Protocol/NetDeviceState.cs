using System.Buffers.Binary;
using System.Collections.Immutable;
using Ringmaster.Native.Tap;

namespace Ringmaster.Actors.Protocol;

/// <summary>
/// What a network card holds beside its rings and what the front-end says again itself: what it was told, where that is
/// other than what it is configured with.
/// </summary>
/// <param name="Mtu">What NET_SET_MTU said, or null.</param>
/// <param name="Mac">What SET_CONFIG wrote, or null.</param>
/// <param name="LinkHeldDown">The operator holds the link down.</param>
internal readonly record struct NetDeviceState(int? Mtu, MacAddress? Mac, bool LinkHeldDown)
{
    private const ushort Kind = 1; // virtio's number of a network card
    private const ushort MtuTag = 1;
    private const ushort MacTag = 2;
    private const ushort LinkTag = 3;

    internal static NetDeviceState Of(SessionState state, bool linkHeldDown) => new(
        state.Mtu == state.Profile.Mtu ? null : state.Mtu,
        state.Mac == (state.Profile.Mac ?? default) ? null : state.Mac,
        linkHeldDown);

    internal byte[] ToBytes()
    {
        var sections = ImmutableArray.CreateBuilder<StateSection>();
        if (Mtu is { } mtu)
        {
            byte[] bytes = new byte[sizeof(uint)];
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)mtu);
            sections.Add(new StateSection(MtuTag, false, bytes));
        }

        if (Mac is { } mac)
        {
            sections.Add(new StateSection(MacTag, false, mac.ToArray()));
        }

        sections.Add(new StateSection(LinkTag, false, new[] { LinkHeldDown ? (byte)1 : (byte)0 }));
        return DeviceStateFormat.Write(Kind, sections.ToImmutable());
    }

    /// <returns>Null, or the reason why it is refused.</returns>
    internal static string? TryRead(ReadOnlyMemory<byte> bytes, out NetDeviceState state)
    {
        state = default;
        if (DeviceStateFormat.TryRead(bytes, Kind, out ImmutableArray<StateSection> sections) is { } reason)
        {
            return reason;
        }

        NetDeviceState read = default;
        foreach (StateSection section in sections)
        {
            if (!read.Take(section, out read))
            {
                return $"section {section.Tag} is not known, or makes no sense";
            }
        }

        state = read;
        return null;
    }

    /// <summary>The session's part of it: what is configured stays where nothing else was said.</summary>
    internal SessionState ApplyTo(SessionState state) => state with { Mtu = Mtu ?? state.Mtu, Mac = Mac ?? state.Mac };

    private bool Take(StateSection section, out NetDeviceState next)
    {
        ReadOnlySpan<byte> bytes = section.Bytes.Span;
        next = this;
        switch (section.Tag)
        {
            case MtuTag when bytes.Length == sizeof(uint):
                uint mtu = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
                next = this with { Mtu = (int)mtu };
                return NetRequests.IsMtu(mtu);
            case MacTag when bytes.Length == MacAddress.Size:
                next = this with { Mac = new MacAddress(bytes) };
                return true;
            case LinkTag when bytes.Length == 1 && bytes[0] <= 1:
                next = this with { LinkHeldDown = bytes[0] == 1 };
                return true;
            default:
                return section is { Optional: true, Tag: not (MtuTag or MacTag or LinkTag) };
        }
    }
}
