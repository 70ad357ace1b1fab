using System.Collections.Immutable;
using CsCheck;
using Ringmaster.Actors.Protocol;
using Ringmaster.Fuzz;
using Ringmaster.Native.Linux;
using Ringmaster.Native.Memory;
using Ringmaster.Native.VhostUser;
using static Ringmaster.Actors.Tests.Protocol.Conversation;

namespace Ringmaster.Actors.Tests.Protocol;

/// <summary>Whatever comes, in whatever order: no throw, no fd without an owner, no plan that breaks a rule.</summary>
public sealed class RandomMessagesSpec
{
    private const int MessagesPerSession = 2000;

    private static readonly ImmutableArray<RequestRow> AboutRings =
    [
        .. RequestTable.Rows.Where(row => row.Code is RequestCode.SetMemTable
            or RequestCode.SetVringNum or RequestCode.SetVringAddr or RequestCode.SetVringBase or RequestCode.GetVringBase
            or RequestCode.SetVringKick or RequestCode.SetVringCall or RequestCode.SetVringErr or RequestCode.SetVringEnable),
    ];

    private static readonly Gen<uint> Number = Gen.Frequency(
        (20, Gen.Int[0, RequestTable.Rows.Length - 1].Select(i => (uint)RequestTable.Rows[i].Code)),
        (2, Gen.UInt[0, 50]),
        (1, Gen.UInt));

    private static readonly Gen<ulong> Small = Gen.Frequency(
        (8, Gen.ULong[0, 5]),
        (4, Gen.Int[0, 16].Select(bit => 1UL << bit)),
        (2, Gen.ULong[0, 0x1_0000].Select(offset => UserAddress + (offset & ~0xfUL))),
        (1, Gen.ULong));

    private static readonly Gen<byte[]> Number64 = Small.Select(value => U64(value).ToArray());
    private static readonly Gen<byte[]> OneRing =
        Gen.Select(Gen.Int[0, 5], Small, (ring, value) => Ring(ring, (uint)value).ToArray());
    private static readonly Gen<byte[]> OneRegion = Gen.Int[0, 3].Select(i => new SingleMemoryRegion(Layout(i)).ToBytes());
    private static readonly Gen<byte[]> Nothing = Gen.Const(Array.Empty<byte>());

    private static readonly Gen<byte[]> GoodAddresses =
        Gen.Select(Gen.Int[0, 5], Gen.Int[0, 3], (ring, at) => (Addresses(at) with { Index = (uint)ring }).ToBytes());

    private static readonly Gen<byte[]> AnyAddresses =
        Gen.Select(Small, Small, Small, (a, b, c) => new VringAddresses(0, 0, a, b, c, 0).ToBytes());

    private static readonly Gen<byte[]> Piece = Gen.Select(
        Gen.UInt[0, 300],
        Gen.UInt[0, 256],
        Gen.UInt[0, 2],
        (offset, size, flags) => new ConfigPayload(offset, size, flags, new byte[size]).ToBytes());

    private static readonly Gen<byte[]> Payload = Gen.Frequency(
        (6, Number64), (6, OneRing), (4, GoodAddresses), (2, AnyAddresses), (4, Gen.Int[0, 3].Select(Table)), (3, OneRegion),
        (2, Piece), (2, Gen.Byte.Array[0, 64]), (2, Nothing));

    private static readonly Gen<Wire> Junk =
        Gen.Select(Number, Payload, Gen.Frequency((6, Gen.Const(0)), (6, Gen.Const(1)), (1, Gen.Int[2, 5])), Gen.Bool)
            .Select((number, payload, fds, needReply) => new Wire(number, payload, fds, needReply));

    private static readonly Gen<byte[]> Translation = Gen
        .Select(Small, Small, Small, Gen.Byte[0, 5], Gen.Byte[0, 5])
        .Select((iova, size, user, access, type) =>
            new IotlbPayload(iova, size, user, (IotlbAccess)access, (IotlbType)type).ToBytes());

    private static readonly Gen<byte[]> Inflight = Gen.Select(Small, Small, Gen.UShort[0, 6], Gen.UShort[0, 1100])
        .Select((size, offset, queues, length) => new InflightPayload(size << 10, offset << 4, queues, length).ToBytes());

    private static readonly Gen<Wire> WellFormed =
        Gen.Frequency((4, OneOf(AboutRings)), (1, OneOf(RequestTable.Rows))).SelectMany(Fitting);

    private static readonly Gen<Wire> Message = Gen.Frequency((3, WellFormed), (2, Junk));

    [Fact]
    public void Two_thousand_random_messages_throw_nothing_leak_nothing_and_break_no_rule() =>
        Message.Array[MessagesPerSession].Sample(Run, iter: 5);

    private static Gen<RequestRow> OneOf(ImmutableArray<RequestRow> rows) => Gen.Int[0, rows.Length - 1].Select(i => rows[i]);

    private static void Run(Wire[] messages)
    {
        Conversation session = Negotiated();
        List<OwnedFd> all = [];
        foreach (Wire wire in messages)
        {
            OwnedFd[] fds = [.. Enumerable.Range(0, wire.Fds).Select(_ => NewFd())];
            all.AddRange(fds);
            SessionState old = session.State;

            session.Send(VhostUserMessage.Create((RequestCode)wire.Number, wire.Payload, fds, wire.NeedReply));

            OwnedFd[] carried = [.. session.Last.Effects.SelectMany(Carried)];
            Assert.All(fds, fd => Assert.True(fd.IsClosed || carried.Contains(fd) || session.State.Fds.Contains(fd)));
            Close(old.FdsNotIn(session.State));
            Close(carried);
            SessionRules.Check(session.State, MaxQueueSize);
            Assert.True(session.Last.Refusal is null || session.Last.Effects.IsEmpty);
            _ = session.Payload();
        }

        Close(session.State.Fds);
        Assert.All(all, fd => Assert.True(fd.IsClosed));
    }

    // What the row asks for, with any values in it, and as many fds as its payload promises.
    private static Gen<Wire> Fitting(RequestRow row)
    {
        Wire Ask(byte[] payload, int fds) => new((uint)row.Code, payload, fds, NeedReply: true);
        return row.Code switch
        {
            RequestCode.SetMemTable => Gen.Int[1, 3].Select(count => Ask(Table(count), count)),
            RequestCode.SetVringKick or RequestCode.SetVringCall or RequestCode.SetVringErr =>
                Gen.Select(Gen.Int[0, 4], Gen.Bool, (ring, none) => Ask(Index(ring, none).ToArray(), none ? 0 : 1)),
            RequestCode.SetFeatures => Small.Select(bits => Ask(U64((ulong)Everything ^ bits).ToArray(), 0)),
            RequestCode.SetProtocolFeatures =>
                Small.Select(bits => Ask(U64((ulong)VhostUserSession.SupportedProtocolFeatures ^ (bits & 7)).ToArray(), 0)),
            RequestCode.SetVringAddr =>
                Gen.Frequency((3, GoodAddresses), (1, AnyAddresses)).Select(bytes => Ask(bytes, row.Fds.Min)),
            _ => Values(row.Payload.Min).Select(bytes => Ask(bytes, row.Fds.Min)),
        };
    }

    private static Gen<byte[]> Values(int size) => size switch
    {
        0 => Nothing,
        U64Payload.SizeInBytes => Gen.Frequency((3, OneRing), (1, Number64)),
        SingleMemoryRegion.SizeInBytes => OneRegion,
        ConfigPayload.HeaderSize => Piece,
        IotlbPayload.MinSizeInBytes => Translation,
        LogPayload.SizeInBytes => Gen.Select(Small, Small, (size, offset) => new LogPayload(size, offset).ToBytes()),
        InflightPayload.MinSizeInBytes => Inflight,
        _ => throw new ArgumentOutOfRangeException(nameof(size)),
    };

    private static IEnumerable<OwnedFd> Carried(SessionEffect effect) => effect switch
    {
        MapMemory map => map.Regions.Select(region => region.File),
        AddRegion add => [add.File],
        MapLog log => [log.File],
        MapInflight map => [map.File],
        _ => [],
    };

    private static void Close(IEnumerable<OwnedFd> fds)
    {
        foreach (OwnedFd fd in fds.ToArray())
        {
            fd.Dispose();
        }
    }

    private static byte[] Table(int count) => MemTable.ToBytes([.. Enumerable.Range(0, count).Select(Layout)]);

    private static MemoryRegionLayout Layout(int i) =>
        new((ulong)i * RegionSize, RegionSize, UserAddress + ((ulong)i * RegionSize), 0);

    private sealed record Wire(uint Number, byte[] Payload, int Fds, bool NeedReply);
}
