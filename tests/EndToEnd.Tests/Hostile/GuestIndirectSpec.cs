using Ringmaster.Native.Driver;
using Ringmaster.Native.Virtio;
using Ringmaster.Native.Worker;

namespace Ringmaster.EndToEnd.Tests.Hostile;

/// <summary>A guest puts chains into indirect tables that break the rules of such tables.</summary>
[Collection(HostileCollection.Name)]
public sealed class GuestIndirectSpec(HostileBackend backend)
{
    private const ushort Next = DriverRing.FlagNext;
    private const ushort Indirect = DriverRing.FlagIndirect;

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_table_whose_length_is_no_multiple_of_16_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(side, format, guest => [guest.Table(guest.Buffer()) with { Length = 17 }]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_table_shorter_than_an_entry_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(side, format, guest => [guest.Table(guest.Buffer()) with { Length = 15 }]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_table_of_no_entries_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(side, format, guest => [guest.Table(guest.Buffer()) with { Length = 0 }]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_table_in_a_table_costs_its_chain_alone(RingSide side) => CostsThatChainAloneAsync(
        side,
        RingFormat.Split,
        guest => [guest.Table(guest.Table(guest.Buffer()))]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_table_that_contains_itself_costs_its_chain_alone(RingSide side) => CostsThatChainAloneAsync(
        side,
        RingFormat.Split,
        guest =>
        {
            ulong table = guest.Take(16);
            RawDescriptor self = new(table, 16, Indirect);
            guest.WriteTable(table, self);
            return [self];
        });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_table_outside_memory_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(side, format, _ => [new RawDescriptor(HostileGuest.Nowhere, 64, Indirect)]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_table_that_wraps_around_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(side, format, _ => [new RawDescriptor(ulong.MaxValue - 31, 64, Indirect)]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_table_cut_by_the_end_of_memory_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(
            side,
            format,
            guest =>
            {
                // Its first entry is whole and goes on to the second one, which is cut in two.
                const ulong table = HostileGuest.End - 24;
                guest.WriteTable(table, guest.Buffer(flags: Next, next: 1));
                return [new RawDescriptor(table, 32, Indirect)];
            });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_table_across_two_adjacent_regions_is_read(RingSide side, RingFormat format) => backend.SurvivesAsync(() =>
    {
        using HostileGuest guest = HostileGuest.Connect(backend, side, format);
        guest.OfferOddTable(HostileGuest.Border - 24, [.. new[] { 12, 300, 200 }.Select(length => Buffer(guest, length))]);
        guest.OfferGood();
        guest.ExpectReturned();
    });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_table_with_a_next_descriptor_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(
            side,
            format,
            guest => [guest.Table(guest.Buffer()) with { Flags = Indirect | Next, Next = 1 }, guest.Buffer()]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_table_that_was_not_negotiated_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(
            side,
            format,
            guest => [guest.Table(guest.Buffer())],
            new VirtioNetOptions
            {
                QueueSize = 64,
                TransmitBufferSize = HostileGuest.BufferSize,
                Features = VirtioNetOptions.ModernFeatures & ~VirtioFeatures.IndirectDesc,
            });

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_loop_in_a_table_costs_its_chain_alone(RingSide side) => CostsThatChainAloneAsync(
        side,
        RingFormat.Split,
        guest => [guest.Table(guest.Buffer(flags: Next, next: 1), guest.Buffer(flags: Next, next: 0))]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.Sides), MemberType = typeof(HostileRings))]
    public Task A_next_behind_the_table_costs_its_chain_alone(RingSide side) => CostsThatChainAloneAsync(
        side,
        RingFormat.Split,
        guest => [guest.Table(guest.Buffer(flags: Next, next: 1), guest.Buffer(flags: Next, next: 2))]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_table_of_more_pieces_than_the_kernel_takes_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(side, format, guest => [guest.Table(Scattered(guest, 2000))]);

    [SkippableTheory]
    [MemberData(nameof(HostileRings.All), MemberType = typeof(HostileRings))]
    public Task A_table_that_claims_all_of_memory_costs_its_chain_alone(RingSide side, RingFormat format) =>
        CostsThatChainAloneAsync(
            side,
            format,
            guest => [guest.Table(Scattered(guest, 2000)) with { Length = uint.MaxValue - 15 }]);

    private Task CostsThatChainAloneAsync(
        RingSide side, RingFormat format, Func<HostileGuest, RawDescriptor[]> chain, VirtioNetOptions? options = null) =>
        backend.SurvivesAsync(() =>
        {
            using HostileGuest guest = HostileGuest.Connect(backend, side, format, options);
            guest.Offer(chain(guest));
            guest.OfferGood();
            guest.ExpectReturned();
        });

    private static RingBuffer Buffer(HostileGuest guest, int length) =>
        new(guest.Take(length), (uint)length, guest.Side == RingSide.Rx);

    private static RawDescriptor[] Scattered(HostileGuest guest, int count)
    {
        ulong first = guest.Take(2 * count);
        return [.. Enumerable.Range(0, count).Select(i =>
            new RawDescriptor(first + (2 * (ulong)i), 1, (ushort)(guest.Legal | (i < count - 1 ? Next : 0)), i + 1))];
    }
}
