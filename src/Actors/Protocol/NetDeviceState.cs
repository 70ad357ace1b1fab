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
/// <param name="Counters">What the pairs have counted; null where a state does not say it.</param>
internal readonly record struct NetDeviceState(int? Mtu, MacAddress? Mac, bool LinkHeldDown, CounterTable? Counters)
{
    private const ushort Kind = 1; // virtio's number of a network card
    private const ushort MtuTag = 1;
    private const ushort MacTag = 2;
    private const ushort LinkTag = 3;
    private const ushort CountersTag = 4;

    internal static NetDeviceState Of(SessionState state, bool linkHeldDown, CounterTable counters) => new(
        state.Mtu == state.Profile.Mtu ? null : state.Mtu,
        state.Mac == (state.Profile.Mac ?? default) ? null : state.Mac,
        linkHeldDown,
        counters);

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
        if (Counters is { } counters)
        {
            // A guest goes on without them, so no reader has to know them.
            sections.Add(new StateSection(CountersTag, true, counters.ToBytes()));
        }

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
            if (read.Take(section, out read) is { } culprit)
            {
                return $"section {section.Tag}: {culprit}";
            }
        }

        state = read;
        return null;
    }

    /// <summary>The session's part of it: what is configured stays where nothing else was said.</summary>
    internal SessionState ApplyTo(SessionState state) => state with { Mtu = Mtu ?? state.Mtu, Mac = Mac ?? state.Mac };

    /// <returns>Null, or the reason why it is refused.</returns>
    private string? Take(StateSection section, out NetDeviceState next)
    {
        ReadOnlySpan<byte> bytes = section.Bytes.Span;
        next = this;
        switch (section.Tag)
        {
            case MtuTag when bytes.Length == sizeof(uint):
                uint mtu = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
                next = this with { Mtu = (int)mtu };
                return NetRequests.IsMtu(mtu) ? null : $"{mtu} is no MTU";
            case MacTag when bytes.Length == MacAddress.Size:
                next = this with { Mac = new MacAddress(bytes) };
                return null;
            case LinkTag when bytes.Length == 1:
                next = this with { LinkHeldDown = bytes[0] == 1 };
                return bytes[0] <= 1 ? null : $"the link cannot be {bytes[0]}";
            case CountersTag:
                string? reason = CounterTable.TryRead(bytes, out CounterTable counters);
                next = this with { Counters = counters };
                return reason;
            case MtuTag or MacTag or LinkTag:
                return $"{bytes.Length} bytes are not its size";
            default:
                return section.Optional ? null : "it is not known, and may not be left out";
        }
    }
}
